package io.reflux.model.tokenizer;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import io.reflux.model.ModelException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;

/**
 * Tokens and ids of a tokenizer.json, which the native library does not tell. Read as a stream: the
 * files of large models have hundreds of thousands of entries.
 */
final class TokenizerVocabulary {
  private static final int MAX_ID = 1 << 26;

  private final Map<String, Integer> ids = new HashMap<>();
  private final BitSet added = new BitSet();
  private final Set<String> decoders = new HashSet<>();
  private int size;

  private TokenizerVocabulary() {}

  static TokenizerVocabulary parse(Path file, byte[] json) {
    TokenizerVocabulary vocabulary = new TokenizerVocabulary();
    try (JsonParser parser = new JsonFactory().createParser(json)) {
      if (parser.nextToken() != JsonToken.START_OBJECT) {
        throw new ModelException(file + ": not a tokenizer (expected: a JSON object)");
      }
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        String field = parser.currentName();
        JsonToken value = parser.nextToken();
        if (field.equals("added_tokens") && value == JsonToken.START_ARRAY) {
          vocabulary.addedTokens(parser);
        } else if (field.equals("model") && value == JsonToken.START_OBJECT) {
          vocabulary.model(parser);
        } else if (field.equals("decoder") && value == JsonToken.START_OBJECT) {
          vocabulary.decoder(parser);
        } else {
          parser.skipChildren();
        }
      }
    } catch (JsonProcessingException e) {
      throw new ModelException(
          "%s: not JSON: %s"
              .formatted(file, e.getOriginalMessage().lines().findFirst().orElse("malformed")),
          e);
    } catch (IOException | IllegalArgumentException e) {
      throw new ModelException(file + ": not a tokenizer: " + e.getMessage(), e);
    }
    if (vocabulary.size == 0) {
      throw new ModelException(file + ": not a tokenizer: no vocabulary (expected: model.vocab)");
    }
    return vocabulary;
  }

  /** What each token stands for; made anew by each call. */
  TokenBytes bytes() {
    return new TokenBytes(ids, added, decoders);
  }

  /** Remembers the types of the decoder, or of those that it is made of. */
  private void decoder(JsonParser parser) throws IOException {
    int depth = 1;
    while (depth > 0) {
      JsonToken token = parser.nextToken();
      if (token == null) {
        return;
      } else if (token.isStructStart()) {
        depth++;
      } else if (token.isStructEnd()) {
        depth--;
      } else if (token == JsonToken.VALUE_STRING && "type".equals(parser.currentName())) {
        decoders.add(parser.getText());
      }
    }
  }

  int size() {
    return size;
  }

  OptionalInt id(String token) {
    Integer id = ids.get(token);
    return id == null ? OptionalInt.empty() : OptionalInt.of(id);
  }

  private void addedTokens(JsonParser parser) throws IOException {
    while (parser.nextToken() == JsonToken.START_OBJECT) {
      String content = null;
      int id = -1;
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        String field = parser.currentName();
        parser.nextToken();
        switch (field) {
          case "content" -> content = parser.getText();
          case "id" -> id = parser.getIntValue();
          default -> parser.skipChildren();
        }
      }
      if (content != null) {
        add(content, id);
        added.set(id);
      }
    }
  }

  private void model(JsonParser parser) throws IOException {
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String field = parser.currentName();
      JsonToken value = parser.nextToken();
      if (!field.equals("vocab")) {
        parser.skipChildren();
      } else if (value == JsonToken.START_OBJECT) {
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
          String token = parser.currentName();
          parser.nextToken();
          add(token, parser.getIntValue());
        }
      } else if (value == JsonToken.START_ARRAY) {
        unigram(parser);
      }
    }
  }

  /** Unigram models list [token, score] pairs in the order of their ids. */
  private void unigram(JsonParser parser) throws IOException {
    for (int id = 0; parser.nextToken() == JsonToken.START_ARRAY; id++) {
      parser.nextToken();
      add(parser.getText(), id);
      while (parser.nextToken() != JsonToken.END_ARRAY) {
        parser.skipChildren();
      }
    }
  }

  private void add(String token, int id) {
    if (id < 0 || id > MAX_ID) {
      throw new IllegalArgumentException(
          "id of a token: %d (expected: 0 to %d)".formatted(id, MAX_ID));
    }
    ids.put(token, id);
    size = Math.max(size, id + 1);
  }
}
