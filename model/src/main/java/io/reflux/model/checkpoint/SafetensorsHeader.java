package io.reflux.model.checkpoint;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import io.reflux.model.ModelException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * The header of a safetensors file: 8 bytes of little-endian length, then JSON from tensor names to
 * dtype, shape and offsets. It is checked as a whole before any tensor is touched.
 */
final class SafetensorsHeader {
  /** The limit of the format's own reader. */
  static final long MAX_BYTES = 100_000_000;

  private static final int MAX_DIMENSIONS = 16;

  /** Every whole-byte dtype of the format: those that cannot be used can still be skipped. */
  private static final Map<String, Integer> BYTES_BY_DTYPE =
      Map.ofEntries(
          Map.entry("BOOL", 1),
          Map.entry("U8", 1),
          Map.entry("I8", 1),
          Map.entry("F8_E4M3", 1),
          Map.entry("F8_E5M2", 1),
          Map.entry("F8_E8M0", 1),
          Map.entry("I16", 2),
          Map.entry("U16", 2),
          Map.entry("F16", 2),
          Map.entry("BF16", 2),
          Map.entry("I32", 4),
          Map.entry("U32", 4),
          Map.entry("F32", 4),
          Map.entry("I64", 8),
          Map.entry("U64", 8),
          Map.entry("F64", 8),
          Map.entry("C64", 8));

  private final Path file;
  private final long dataBytes;
  private final SortedMap<String, Entry> entries = new TreeMap<>();

  private SafetensorsHeader(Path file, long dataBytes) {
    this.file = file;
    this.dataBytes = dataBytes;
  }

  /**
   * One tensor.
   *
   * @param begin offset of its first byte after the header
   * @param end offset after its last byte
   */
  record Entry(String name, String dtype, List<Long> shape, long begin, long end) {
    long bytes() {
      return end - begin;
    }
  }

  /**
   * Parses and checks a header.
   *
   * @param dataBytes bytes of the file after the header
   */
  static SortedMap<String, Entry> parse(Path file, byte[] json, long dataBytes) {
    SafetensorsHeader header = new SafetensorsHeader(file, dataBytes);
    try (JsonParser parser = JsonFiles.factory().createParser(json)) {
      header.parse(parser);
    } catch (JsonProcessingException e) {
      throw new ModelException(file + ": header: not JSON: " + JsonFiles.oneLine(e), e);
    } catch (IOException e) {
      throw new ModelException(file + ": header: cannot be read: " + e.getMessage(), e);
    }
    header.checkLayout();
    return header.entries;
  }

  private void parse(JsonParser parser) throws IOException {
    expect(parser.nextToken(), JsonToken.START_OBJECT, "header");
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String name = parser.currentName();
      JsonToken value = parser.nextToken();
      if (name.equals("__metadata__")) {
        parser.skipChildren();
        continue;
      }
      expect(value, JsonToken.START_OBJECT, name);
      entries.put(name, entry(parser, name));
    }
    if (parser.nextToken() != null) {
      throw bad("header", "text after the closing brace", "nothing but padding");
    }
  }

  private Entry entry(JsonParser parser, String name) throws IOException {
    String dtype = null;
    List<Long> shape = null;
    List<Long> offsets = null;
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String field = parser.currentName();
      JsonToken value = parser.nextToken();
      switch (field) {
        case "dtype" -> {
          expect(value, JsonToken.VALUE_STRING, name + ": dtype");
          dtype = parser.getText();
        }
        case "shape" -> shape = longs(parser, name + ": shape", MAX_DIMENSIONS);
        case "data_offsets" -> offsets = longs(parser, name + ": data_offsets", 2);
        default -> throw bad(name, "field " + shortened(field), "dtype, shape and data_offsets");
      }
    }
    if (dtype == null || shape == null || offsets == null || offsets.size() != 2) {
      throw bad(name, "an incomplete entry", "dtype, shape and data_offsets [begin, end]");
    }
    Entry entry = new Entry(name, dtype, shape, offsets.get(0), offsets.get(1));
    checkSize(entry);
    return entry;
  }

  private List<Long> longs(JsonParser parser, String what, int max) throws IOException {
    expect(parser.currentToken(), JsonToken.START_ARRAY, what);
    List<Long> longs = new ArrayList<>();
    while (parser.nextToken() != JsonToken.END_ARRAY) {
      expect(parser.currentToken(), JsonToken.VALUE_NUMBER_INT, what);
      if (longs.size() == max || parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER) {
        throw bad(what, "too many or too large numbers", "at most " + max);
      }
      if (parser.getLongValue() < 0) {
        throw bad(what, String.valueOf(parser.getLongValue()), "0 or more");
      }
      longs.add(parser.getLongValue());
    }
    return longs;
  }

  private void checkSize(Entry entry) {
    Integer elementBytes = BYTES_BY_DTYPE.get(entry.dtype());
    if (elementBytes == null) {
      throw bad(
          entry.name() + ": dtype",
          shortened(entry.dtype()),
          "one of " + new java.util.TreeSet<>(BYTES_BY_DTYPE.keySet()));
    }
    long bytes = elementBytes;
    try {
      for (long dimension : entry.shape()) {
        bytes = Math.multiplyExact(bytes, dimension);
      }
    } catch (ArithmeticException e) {
      throw bad(entry.name() + ": shape", entry.shape().toString(), "one that fits the file");
    }
    if (entry.begin() > entry.end() || entry.end() > dataBytes) {
      throw bad(
          entry.name() + ": data_offsets",
          "[%d, %d]".formatted(entry.begin(), entry.end()),
          "within the %d bytes of data".formatted(dataBytes));
    }
    if (bytes != entry.bytes()) {
      throw bad(
          entry.name() + ": data_offsets",
          entry.bytes() + " bytes",
          "%d for %s %s".formatted(bytes, entry.dtype(), entry.shape()));
    }
  }

  /** The format wants every byte of data to belong to exactly one tensor. */
  private void checkLayout() {
    List<Entry> byOffset = new ArrayList<>(entries.values());
    byOffset.sort(Comparator.comparingLong(Entry::begin).thenComparingLong(Entry::end));
    long position = 0;
    for (Entry entry : byOffset) {
      if (entry.begin() != position) {
        throw bad(
            entry.name() + ": data_offsets",
            "begin " + entry.begin(),
            position + ", where the tensor before it ends");
      }
      position = entry.end();
    }
    if (position != dataBytes) {
      throw bad("data", dataBytes + " bytes", position + ", as the header says");
    }
  }

  private void expect(JsonToken actual, JsonToken expected, String what) {
    if (actual != expected) {
      throw bad(what, String.valueOf(actual), expected.name());
    }
  }

  private ModelException bad(String what, String value, String expected) {
    return new ModelException(
        "%s: %s: %s (expected: %s)".formatted(file, shortened(what), value, expected));
  }

  private static String shortened(String text) {
    String line = text.replaceAll("\\p{Cntrl}+", " ");
    return line.length() <= 120 ? line : line.substring(0, 120) + "…";
  }
}
