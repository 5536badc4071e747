package io.reflux.bench.serve;

import de.kherud.llama.InferenceParameters;
import de.kherud.llama.LlamaModel;
import de.kherud.llama.LlamaOutput;
import de.kherud.llama.ModelParameters;
import de.kherud.llama.args.CacheType;
import java.nio.file.Path;

/** llama.cpp, one thread, its own continuous batching. */
final class LlamaPeer implements Contender {
  /** Where it unpacks its library, by its own property. */
  private static final String TEMPORARY = "de.kherud.llama.tmpdir";

  private final LlamaModel model;

  /**
   * Opens a file.
   *
   * @param slots sequences at the same time
   * @param positions of each
   * @param exactCache whether keys and values are float32, as ours are, and not its usual float16
   */
  LlamaPeer(Path file, int slots, int positions, boolean exactCache) {
    if (System.getProperty(TEMPORARY) == null) {
      System.setProperty(TEMPORARY, file.toAbsolutePath().getParent().toString());
    }
    ModelParameters parameters =
        new ModelParameters()
            .setModel(file.toString())
            .setCtxSize(slots * positions)
            .setParallel(slots)
            .setThreads(1)
            .setThreadsBatch(1)
            .disableLog();
    if (exactCache) {
      parameters.setCacheTypeK(CacheType.F32).setCacheTypeV(CacheType.F32);
    }
    model = new LlamaModel(slots > 1 ? parameters.enableContBatching() : parameters);
  }

  @Override
  public Answer answer(String prompt, int tokens) {
    return answer(prompt, tokens, true);
  }

  @Override
  public Answer untilEnd(String prompt, int tokens) {
    return answer(prompt, tokens, false);
  }

  private Answer answer(String prompt, int tokens, boolean pastEnd) {
    InferenceParameters parameters =
        new InferenceParameters(prompt)
            .setTemperature(0)
            .setNPredict(tokens)
            .setIgnoreEos(pastEnd)
            .setCachePrompt(false);
    long asked = System.nanoTime();
    long first = 0;
    long last = 0;
    StringBuilder text = new StringBuilder();
    for (LlamaOutput output : model.generate(parameters)) {
      last = System.nanoTime() - asked;
      first = first == 0 ? last : first;
      text.append(output.text);
    }
    return new Answer(text.toString(), tokens, first, last);
  }

  @Override
  public void close() {
    model.close();
  }
}
