package io.reflux.trainer;

import io.reflux.model.LanguageModel;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.Checkpoint;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.evaluate.Fidelity;
import io.reflux.model.export.HfFolder;
import io.reflux.model.export.OnnxFolder;
import io.reflux.model.gguf.GgufCheckpoint;
import io.reflux.model.gguf.GgufType;
import io.reflux.model.gguf.GgufWriter;
import io.reflux.model.runtime.ExchangeSession;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.snapshots.SnapshotFormat;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;

/**
 * Writes a snapshot's other formats beside its safetensors, from the same weights, reads each back,
 * and holds it against them. What differs too much, or cannot be written, is left out.
 */
final class ShippedFormats {
  /** Enough to tell an export that is wrong from one that rounds, and soon done. */
  private static final int MEASURED_TOKENS = 2048;

  private static final int LONGEST_SEQUENCE = 256;
  private static final int RANDOM_SEQUENCES = 4;
  private static final int RANDOM_TOKENS = 48;

  private final List<SnapshotFormat> wanted;
  private final double mostKl;

  /**
   * @param wanted in addition to safetensors
   * @param mostKl of a format, nats a token
   */
  ShippedFormats(List<SnapshotFormat> wanted, double mostKl) {
    this.wanted =
        wanted.stream()
            .filter(format -> format != SnapshotFormat.SAFETENSORS)
            .distinct()
            .sorted()
            .toList();
    this.mostKl = mostKl;
  }

  /**
   * What a snapshot offers.
   *
   * @param formats in the manifest's words, safetensors first
   * @param figures of each other format: {@code kl.} and {@code agreement.} with its name, against
   *     the safetensors
   * @param leftOut why a format is not there, a line each
   */
  record Offer(List<String> formats, Map<String, Double> figures, List<String> leftOut) {}

  /**
   * Writes the formats.
   *
   * @param draft the snapshot's directory, with its safetensors
   * @param artefact loaded from there
   * @param heldOut token ids to compare on; where there are none, random ones do
   */
  Offer write(Path draft, LanguageModel artefact, List<int[]> heldOut) {
    List<String> formats = new ArrayList<>(List.of(SnapshotFormat.SAFETENSORS.toString()));
    Map<String, Double> figures = new TreeMap<>();
    List<String> leftOut = new ArrayList<>();
    if (wanted.isEmpty()) {
      return new Offer(formats, figures, leftOut);
    }
    Fidelity fidelity =
        Fidelity.prepare(
            artefact.config(),
            artefact.weights(),
            sequences(artefact, heldOut),
            RuntimeOptions.DEFAULT);
    for (SnapshotFormat format : wanted) {
      Path folder = draft.resolve(format.folder());
      String problem;
      try {
        Fidelity.Marks marks = write(format, folder, artefact, fidelity);
        figures.put("kl." + format, marks.kl());
        figures.put("agreement." + format, marks.agreement());
        problem =
            marks.kl() <= mostKl
                ? ""
                : "KL %.3g (expected: at most %s)".formatted(marks.kl(), mostKl);
      } catch (ModelException e) {
        problem = e.getMessage();
      }
      if (problem.isEmpty()) {
        formats.add(format.toString());
      } else {
        leftOut.add("without %s: %s".formatted(format, problem));
        figures.keySet().removeIf(name -> name.endsWith("." + format));
        delete(folder);
      }
    }
    return new Offer(formats, figures, leftOut);
  }

  private static Fidelity.Marks write(
      SnapshotFormat format, Path folder, LanguageModel artefact, Fidelity fidelity) {
    return switch (format) {
      case SAFETENSORS -> throw new IllegalArgumentException("written already");
      case HF -> {
        HfFolder.write(folder, artefact);
        LanguageModel written = LanguageModel.load(folder);
        yield fidelity.of(written.config(), written.weights());
      }
      case ONNX -> {
        OnnxFolder.write(folder, artefact);
        try (ExchangeSession session =
            new ExchangeSession(folder.resolve(OnnxFolder.MODEL), artefact.config())) {
          yield fidelity.of(session::logits);
        }
      }
      case GGUF -> {
        Path file = folder.resolve("model.gguf");
        GgufWriter.write(file, artefact, typeOf(artefact.weights()));
        Checkpoint written = GgufCheckpoint.load(file);
        yield fidelity.of(written.config(), written.weights());
      }
    };
  }

  /** The type that holds the same integers; of floats the nearest that llama.cpp has. */
  private static GgufType typeOf(Weights weights) {
    return switch (WeightFormat.of(weights)) {
      case INT8 -> GgufType.Q8_0;
      case INT4 -> GgufType.Q4_0;
      case NONE, FP8 -> GgufType.F16;
    };
  }

  private static List<int[]> sequences(LanguageModel artefact, List<int[]> heldOut) {
    int longest = Math.min(LONGEST_SEQUENCE, artefact.config().maxPositions());
    List<int[]> taken = new ArrayList<>();
    int tokens = 0;
    for (int[] sequence : heldOut) {
      if (sequence.length >= 2 && sequence.length <= longest && tokens < MEASURED_TOKENS) {
        taken.add(sequence);
        tokens += sequence.length;
      }
    }
    if (!taken.isEmpty()) {
      return taken;
    }
    Random random = new Random(0);
    int length = Math.min(RANDOM_TOKENS, longest);
    for (int i = 0; i < RANDOM_SEQUENCES; i++) {
      taken.add(random.ints(length, 0, artefact.config().vocabularySize()).toArray());
    }
    return taken;
  }

  private static void delete(Path folder) {
    if (!Files.exists(folder)) {
      return;
    }
    try (Stream<Path> entries = Files.walk(folder)) {
      for (Path entry : entries.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(entry);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
