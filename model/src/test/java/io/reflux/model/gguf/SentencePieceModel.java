package io.reflux.model.gguf;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.checkpoint.RandomModel;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;

/** A model whose tokenizer.json is of the kind that Llama 2's was turned into. */
final class SentencePieceModel {
  private static final List<String> PIECES =
      List.of("he", "▁t", "▁the", "re", "▁w", "her", "▁where", "▁is", "is", "▁c", "ar", "▁card");

  private SentencePieceModel() {}

  static Path save(Path directory) {
    List<String> tokens = new ArrayList<>(List.of("<unk>", "<s>", "</s>"));
    for (int value = 0; value < 256; value++) {
      tokens.add("<0x%02X>".formatted(value));
    }
    tokens.addAll(List.of("▁", "t", "h", "e", "r", "w", "i", "s", "c", "a", "d"));
    int first = tokens.size();
    tokens.addAll(PIECES);
    ObjectMapper mapper = new ObjectMapper();
    ObjectNode json = mapper.createObjectNode().put("version", "1.0");
    ArrayNode added = json.putArray("added_tokens");
    for (int id = 0; id < 3; id++) {
      added
          .addObject()
          .put("id", id)
          .put("content", tokens.get(id))
          .put("single_word", false)
          .put("lstrip", false)
          .put("rstrip", false)
          .put("normalized", false)
          .put("special", true);
    }
    ObjectNode normalizer = json.putObject("normalizer").put("type", "Sequence");
    ArrayNode steps = normalizer.putArray("normalizers");
    steps.addObject().put("type", "Prepend").put("prepend", "▁");
    steps
        .addObject()
        .put("type", "Replace")
        .put("content", "▁")
        .putObject("pattern")
        .put("String", " ");
    json.putNull("pre_tokenizer");
    json.putNull("post_processor");
    json.putObject("decoder").put("type", "ByteFallback");
    ObjectNode model =
        json.putObject("model")
            .put("type", "BPE")
            .put("unk_token", "<unk>")
            .put("fuse_unk", true)
            .put("byte_fallback", true);
    ObjectNode vocabulary = model.putObject("vocab");
    for (int id = 0; id < tokens.size(); id++) {
      vocabulary.put(tokens.get(id), id);
    }
    ArrayNode merges = model.putArray("merges");
    for (String piece : tokens.subList(first, tokens.size())) {
      for (int cut = 1; cut < piece.length(); cut++) {
        String left = piece.substring(0, cut);
        String right = piece.substring(cut);
        if (tokens.contains(left) && tokens.contains(right)) {
          merges.add(left + " " + right);
        }
      }
    }
    ModelConfig config =
        new ModelConfig(
            Architecture.LLAMA,
            tokens.size(),
            32,
            32,
            1,
            2,
            1,
            16,
            64,
            1e-5,
            10_000,
            null,
            false,
            false,
            false,
            OptionalInt.empty(),
            OptionalInt.of(1),
            List.of(2));
    try {
      Files.createDirectories(directory);
      Files.write(directory.resolve("tokenizer.json"), mapper.writeValueAsBytes(json));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    LanguageModel.save(directory, config, RandomModel.weights(config, 1), DType.F32, directory);
    return directory;
  }
}
