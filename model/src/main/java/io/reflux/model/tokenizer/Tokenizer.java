package io.reflux.model.tokenizer;

import ai.djl.engine.EngineException;
import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.JsonFiles;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.lang.ref.Reference;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Map;
import java.util.OptionalInt;

/**
 * The tokenizer of a model directory, run by Hugging Face's own native library. Text is never
 * truncated or padded, whatever tokenizer.json asks for. Safe for concurrent use; the native part
 * goes when the object is collected.
 */
public final class Tokenizer {
  private static final long MAX_BYTES = 512L << 20;

  private final HuggingFaceTokenizer delegate;
  private final TokenizerVocabulary vocabulary;
  private final String fingerprint;

  private Tokenizer(
      HuggingFaceTokenizer delegate, TokenizerVocabulary vocabulary, String fingerprint) {
    this.delegate = delegate;
    this.vocabulary = vocabulary;
    this.fingerprint = fingerprint;
  }

  /**
   * Loads {@code tokenizer.json}.
   *
   * @throws ModelException naming the file, if it is missing or cannot be used
   */
  public static Tokenizer load(Path directory) {
    Path file = directory.resolve("tokenizer.json");
    byte[] json = JsonFiles.readBytes(file, MAX_BYTES);
    TokenizerVocabulary vocabulary = TokenizerVocabulary.parse(file, json);
    stayOffline();
    try {
      HuggingFaceTokenizer delegate =
          HuggingFaceTokenizer.newInstance(
              new ByteArrayInputStream(json),
              Map.of("addSpecialTokens", "true", "truncation", "false", "padding", "false"));
      return new Tokenizer(delegate, vocabulary, sha256(json));
    } catch (EngineException e) {
      throw new ModelException("tokenizers: native library: " + oneLine(e), e);
    } catch (IOException | RuntimeException e) {
      throw new ModelException(file + ": not a tokenizer: " + oneLine(e), e);
    }
  }

  /**
   * Ids of a text.
   *
   * @param addSpecialTokens whether to add what tokenizer.json adds to a sequence, such as BOS;
   *     special tokens that the text spells out are recognised either way
   */
  public int[] encode(String text, boolean addSpecialTokens) {
    long[] ids;
    try {
      ids = delegate.encode(wellFormed(text), addSpecialTokens, false).getIds();
    } finally {
      // A finalizer frees the native part: not while it is at work.
      Reference.reachabilityFence(delegate);
    }
    int[] narrow = new int[ids.length];
    for (int i = 0; i < ids.length; i++) {
      narrow[i] = Math.toIntExact(ids[i]);
    }
    return narrow;
  }

  /**
   * Text of ids. Bytes that are not UTF-8 become U+FFFD; ids outside the vocabulary, as a padded
   * model may emit, have no text.
   *
   * @param skipSpecial whether special tokens have no text
   */
  public String decode(int[] ids, boolean skipSpecial) {
    long[] wide = new long[ids.length];
    for (int i = 0; i < ids.length; i++) {
      wide[i] = ids[i];
    }
    try {
      return delegate.decode(wide, skipSpecial);
    } finally {
      Reference.reachabilityFence(delegate);
    }
  }

  /** One more than the largest id; a model's own vocabulary may be larger, padded. */
  public int vocabularySize() {
    return vocabulary.size();
  }

  /** The id of a token as tokenizer.json spells it, special or not. */
  public OptionalInt id(String token) {
    return vocabulary.id(token);
  }

  /** What single tokens stand for; made anew by each call, for those who show tokens. */
  public TokenBytes bytes() {
    return vocabulary.bytes();
  }

  /** SHA-256 of tokenizer.json in lower-case hex. */
  public String fingerprint() {
    return fingerprint;
  }

  /** Decodes a generation as it grows, special tokens left out. */
  public TokenStream stream() {
    return new TokenStream(this);
  }

  /**
   * The native library would otherwise ask a cloud's metadata address who is calling. Its only
   * switches are the environment and system properties, and an embedding program's environment is
   * not ours; a choice already made is kept.
   */
  private static void stayOffline() {
    for (String property : new String[] {"ai.djl.offline", "OPT_OUT_TRACKING"}) {
      if (System.getProperty(property) == null) {
        System.setProperty(property, "true");
      }
    }
  }

  /** A lone surrogate has no UTF-8, and the native side may not be asked to find one. */
  private static String wellFormed(String text) {
    StringBuilder repaired = null;
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (Character.isHighSurrogate(c)
          && i + 1 < text.length()
          && Character.isLowSurrogate(text.charAt(i + 1))) {
        i++;
      } else if (Character.isSurrogate(c)) {
        repaired = repaired == null ? new StringBuilder(text) : repaired;
        repaired.setCharAt(i, '\uFFFD');
      }
    }
    return repaired == null ? text : repaired.toString();
  }

  private static String sha256(byte[] bytes) {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }

  private static String oneLine(Exception e) {
    return String.valueOf(e.getMessage()).lines().findFirst().orElse(e.toString());
  }
}
