package io.reflux.model.tokenizer;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.reflux.model.ModelException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * A trained byte-level BPE tokenizer.
 *
 * @param specialTokens the first ids
 * @param tokens by id, bytes written in the byte-level alphabet
 * @param merges in the order they apply
 */
public record BpeVocabulary(List<String> specialTokens, List<String> tokens, List<Merge> merges) {

  public BpeVocabulary {
    specialTokens = List.copyOf(specialTokens);
    tokens = List.copyOf(tokens);
    merges = List.copyOf(merges);
  }

  /** Tokens left and right, side by side, become the token result. */
  public record Merge(int left, int right, int result) {}

  /**
   * What the special tokens are for.
   *
   * @param bos starts every sequence that is encoded with special tokens; empty for none
   * @param eos ends a response; empty for none
   * @param chatTemplate Jinja text for tokenizer_config.json; empty for none
   */
  public record Roles(Optional<String> bos, Optional<String> eos, Optional<String> chatTemplate) {
    /** No special token starts a sequence, and this one ends a response. */
    public static Roles endingWith(String eos) {
      return new Roles(Optional.empty(), Optional.of(eos), Optional.empty());
    }
  }

  /** Ids in use: [0, size). */
  public int size() {
    return tokens.size();
  }

  /** The id of a special token. */
  public int specialId(String token) {
    int id = specialTokens.indexOf(token);
    if (id < 0) {
      throw new ModelException(
          "special token: %s (expected: one of %s)".formatted(token, specialTokens));
    }
    return id;
  }

  /**
   * Writes {@code tokenizer.json} and {@code tokenizer_config.json}, the same bytes for the same
   * vocabulary.
   *
   * @param directory made if need be
   */
  public void write(Path directory, Roles roles) {
    roles.bos().ifPresent(this::specialId);
    roles.eos().ifPresent(this::specialId);
    try {
      Files.createDirectories(directory);
      Files.write(directory.resolve("tokenizer.json"), print(tokenizerJson(roles)));
      Files.write(directory.resolve("tokenizer_config.json"), print(configJson(roles)));
    } catch (IOException e) {
      throw new ModelException(directory + ": cannot be written: " + e.getMessage(), e);
    }
  }

  private ObjectNode tokenizerJson(Roles roles) {
    ObjectNode json = object();
    json.put("version", "1.0");
    json.putNull("truncation");
    json.putNull("padding");
    ArrayNode added = json.putArray("added_tokens");
    for (int id = 0; id < specialTokens.size(); id++) {
      added.add(addedToken(specialTokens.get(id)).put("id", id));
    }
    json.putNull("normalizer");
    json.set("pre_tokenizer", byteLevel());
    json.set("post_processor", roles.bos().map(this::startingWith).orElse(null));
    json.set("decoder", byteLevel());
    ObjectNode model = json.putObject("model");
    model.put("type", "BPE");
    model.putNull("dropout");
    model.putNull("unk_token");
    model.putNull("continuing_subword_prefix");
    model.putNull("end_of_word_suffix");
    model.put("fuse_unk", false);
    model.put("byte_fallback", false);
    model.put("ignore_merges", false);
    ObjectNode vocabulary = model.putObject("vocab");
    for (int id = 0; id < tokens.size(); id++) {
      vocabulary.put(tokens.get(id), id);
    }
    ArrayNode mergeTexts = model.putArray("merges");
    for (Merge merge : merges) {
      mergeTexts.add(tokens.get(merge.left()) + " " + tokens.get(merge.right()));
    }
    return json;
  }

  private ObjectNode configJson(Roles roles) {
    ObjectNode json = object();
    ObjectNode decoder = json.putObject("added_tokens_decoder");
    for (int id = 0; id < specialTokens.size(); id++) {
      decoder.set(String.valueOf(id), addedToken(specialTokens.get(id)));
    }
    roles.bos().ifPresent(bos -> json.put("bos_token", bos));
    roles.eos().ifPresent(eos -> json.put("eos_token", eos));
    roles.chatTemplate().ifPresent(template -> json.put("chat_template", template));
    json.put("clean_up_tokenization_spaces", false);
    json.put("model_max_length", 1_000_000_000);
    json.put("tokenizer_class", "PreTrainedTokenizerFast");
    return json;
  }

  private static ObjectNode addedToken(String content) {
    return object()
        .put("content", content)
        .put("single_word", false)
        .put("lstrip", false)
        .put("rstrip", false)
        .put("normalized", false)
        .put("special", true);
  }

  private static ObjectNode byteLevel() {
    return object()
        .put("type", "ByteLevel")
        .put("add_prefix_space", false)
        .put("trim_offsets", true)
        .put("use_regex", true);
  }

  /** One sequence gets the token in front; of a pair, each. */
  private ObjectNode startingWith(String bos) {
    ObjectNode json = object().put("type", "TemplateProcessing");
    json.putArray("single").add(specialToken(bos, 0)).add(sequence("A", 0));
    json.putArray("pair")
        .add(specialToken(bos, 0))
        .add(sequence("A", 0))
        .add(specialToken(bos, 1))
        .add(sequence("B", 1));
    ObjectNode token = json.putObject("special_tokens").putObject(bos).put("id", bos);
    token.putArray("ids").add(specialId(bos));
    token.putArray("tokens").add(bos);
    return json;
  }

  private static ObjectNode specialToken(String token, int typeId) {
    ObjectNode json = object();
    json.putObject("SpecialToken").put("id", token).put("type_id", typeId);
    return json;
  }

  private static ObjectNode sequence(String id, int typeId) {
    ObjectNode json = object();
    json.putObject("Sequence").put("id", id).put("type_id", typeId);
    return json;
  }

  private static ObjectNode object() {
    return JsonNodeFactory.instance.objectNode();
  }

  private static byte[] print(ObjectNode json) {
    try {
      String text =
          new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT).writeValueAsString(json);
      return (text.replace("\r\n", "\n") + "\n").getBytes(StandardCharsets.UTF_8);
    } catch (JsonProcessingException e) {
      throw new AssertionError("a tree of JSON nodes can be printed", e);
    }
  }
}
