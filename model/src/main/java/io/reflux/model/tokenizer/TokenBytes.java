package io.reflux.model.tokenizer;

import java.nio.charset.StandardCharsets;
import java.util.BitSet;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The bytes that single tokens stand for, also where they are only a part of a character and
 * decoding them alone would lose them. Safe for concurrent use.
 */
public final class TokenBytes {
  /** What SentencePiece writes for a space. */
  private static final char SPACE_MARK = '\u2581';

  private static final Pattern FALLBACK_BYTE = Pattern.compile("<0x([0-9A-Fa-f]{2})>");

  private final Map<Integer, String> tokens = new HashMap<>();
  private final BitSet added;
  private final boolean byteLevel;
  private final boolean byteFallback;
  private final boolean spaceMarks;

  /**
   * @param added ids of tokens that are spelled as they stand
   * @param decoders types of the decoders of tokenizer.json
   */
  TokenBytes(Map<String, Integer> ids, BitSet added, Set<String> decoders) {
    ids.forEach((token, id) -> tokens.put(id, token));
    this.added = added;
    this.byteLevel = decoders.contains("ByteLevel");
    this.byteFallback = decoders.contains("ByteFallback");
    this.spaceMarks = decoders.contains("Metaspace") || decoders.contains("Replace");
  }

  /** Of one token inside a text; a special token's are those of its name. Empty for no token. */
  public Optional<byte[]> of(int id) {
    String token = tokens.get(id);
    if (token == null) {
      return Optional.empty();
    }
    if (added.get(id)) {
      return Optional.of(token.getBytes(StandardCharsets.UTF_8));
    }
    Matcher fallback = FALLBACK_BYTE.matcher(token);
    if (byteFallback && fallback.matches()) {
      return Optional.of(new byte[] {(byte) Integer.parseInt(fallback.group(1), 16)});
    }
    String text = spaceMarks ? token.replace(SPACE_MARK, ' ') : token;
    return Optional.of(byteLevel ? byteLevel(text) : text.getBytes(StandardCharsets.UTF_8));
  }

  private static byte[] byteLevel(String token) {
    byte[] bytes = new byte[token.length()];
    for (int i = 0; i < bytes.length; i++) {
      int value = ByteAlphabet.unsignedByte(token.charAt(i));
      if (value < 0) {
        // Spelled as it stands, whatever the decoder would make of it.
        return token.getBytes(StandardCharsets.UTF_8);
      }
      bytes[i] = (byte) value;
    }
    return bytes;
  }
}
