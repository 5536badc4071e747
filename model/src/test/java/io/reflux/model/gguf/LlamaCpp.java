package io.reflux.model.gguf;

import de.kherud.llama.InferenceParameters;
import de.kherud.llama.LlamaModel;
import de.kherud.llama.LlamaOutput;
import de.kherud.llama.ModelParameters;
import de.kherud.llama.args.CacheType;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Assumptions;

/** llama.cpp with a model open. */
final class LlamaCpp implements AutoCloseable {
  private static final String TEMPORARY = "de.kherud.llama.tmpdir";

  private final LlamaModel model;

  /** Skips the test where this machine has no native library for it, and for nothing else. */
  LlamaCpp(Path file, Path temporary) {
    if (System.getProperty(TEMPORARY) == null) {
      // Where the library is unpacked to.
      System.setProperty(TEMPORARY, temporary.toString());
    }
    try {
      Class.forName("de.kherud.llama.LlamaModel");
    } catch (ClassNotFoundException | UnsatisfiedLinkError | ExceptionInInitializerError e) {
      Assumptions.abort("llama.cpp has no native library here: " + e.getMessage());
    }
    model =
        new LlamaModel(
            new ModelParameters()
                .setModel(file.toString())
                .setCtxSize(256)
                .setThreads(1)
                .setThreadsBatch(1)
                .setCacheTypeK(CacheType.F32)
                .setCacheTypeV(CacheType.F32)
                .skipWarmup()
                .disableLog());
  }

  /** Ids of a text, what it spells of special tokens included, without BOS. */
  int[] encode(String text) {
    return model.encode(text);
  }

  /** Text of each token that it likes best. */
  List<String> greedy(String prompt, int tokens) {
    List<String> texts = new ArrayList<>();
    InferenceParameters parameters =
        new InferenceParameters(prompt).setTemperature(0).setNPredict(tokens).setCachePrompt(false);
    for (LlamaOutput output : model.generate(parameters)) {
      texts.add(output.text);
    }
    // The last says that it is over.
    return texts.subList(0, texts.size() - 1);
  }

  @Override
  public void close() {
    model.close();
  }
}
