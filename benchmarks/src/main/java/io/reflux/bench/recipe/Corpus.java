package io.reflux.bench.recipe;

import io.reflux.bench.BenchmarkOptions;
import io.reflux.model.ModelException;
import io.reflux.schemas.service.RefluxException;
import io.reflux.traffic.Exchange;
import io.reflux.traffic.SupportDeskLanguage;
import io.reflux.traffic.TrafficMix;
import io.reflux.traffic.TrafficStream;
import io.reflux.trainer.pretrain.PromptResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;

/**
 * Prompts and reference answers. Which part one belongs to is decided by a hash of its prompt, so
 * that equal prompts are never on two sides.
 *
 * @param name for reports
 * @param training learned from
 * @param validation learning rates are chosen on it
 * @param test for the final figures alone
 */
public record Corpus(
    String name,
    List<PromptResponse> training,
    List<PromptResponse> validation,
    List<PromptResponse> test) {
  private static final String CLINC_TRAINING = "clinc150.train.jsonl";
  private static final String CLINC_TEST = "clinc150.test.jsonl";
  private static final String BANKING = "banking77.train.jsonl";
  private static final int MOST_GENERATED = 20_000;
  private static final double VALIDATION_SHARE = 0.08;

  /** BANKING77 comes without a test part here. */
  private static final double TEST_SHARE = 0.12;

  /** A reference answer stands for an intent. */
  static String intent(PromptResponse line) {
    return line.response();
  }

  /** Of the folder that is named, or generated if none is. */
  public static Corpus of(BenchmarkOptions options, RecipeSize size) {
    return options.data().isPresent()
        ? read(options.data().get(), size.lines(), size.testLines())
        : generated(Math.min(size.lines(), MOST_GENERATED), size.testLines());
  }

  /**
   * CLINC150 with its own test part and BANKING77, mixed.
   *
   * @param most lines to learn from
   * @param mostTest lines of the test part
   */
  static Corpus read(Path directory, int most, int mostTest) {
    List<PromptResponse> test = new ArrayList<>(lines(directory, CLINC_TEST));
    List<PromptResponse> rest = new ArrayList<>(lines(directory, CLINC_TRAINING));
    for (PromptResponse line : lines(directory, BANKING)) {
      (share(line, 1) < TEST_SHARE ? test : rest).add(line);
    }
    return of("CLINC150 and BANKING77", rest, test, most, mostTest);
  }

  /** Requests to a support desk as the traffic generator makes them, for want of real text. */
  static Corpus generated(int most, int mostTest) {
    TrafficStream stream = SupportDeskLanguage.standard().stream(TrafficMix.uniform(), 7);
    List<PromptResponse> test = new ArrayList<>();
    List<PromptResponse> rest = new ArrayList<>();
    for (int i = 0; i < 2 * (most + mostTest); i++) {
      Exchange exchange = stream.next();
      PromptResponse line = new PromptResponse(exchange.prompt(), exchange.response());
      (share(line, 1) < TEST_SHARE ? test : rest).add(line);
    }
    return of("generated requests", rest, test, most, mostTest);
  }

  private static Corpus of(
      String name, List<PromptResponse> rest, List<PromptResponse> test, int most, int mostTest) {
    Set<String> tested = new HashSet<>();
    test.forEach(line -> tested.add(line.prompt()));
    List<PromptResponse> training = new ArrayList<>();
    List<PromptResponse> validation = new ArrayList<>();
    for (PromptResponse line : rest) {
      if (!tested.contains(line.prompt())) {
        (share(line, 2) < VALIDATION_SHARE ? validation : training).add(line);
      }
    }
    return new Corpus(name, some(training, most), some(validation, mostTest), some(test, mostTest));
  }

  private static List<PromptResponse> some(List<PromptResponse> lines, int most) {
    List<PromptResponse> shuffled = new ArrayList<>(lines);
    Collections.shuffle(shuffled, new Random(11));
    return List.copyOf(shuffled.subList(0, Math.min(most, shuffled.size())));
  }

  private static List<PromptResponse> lines(Path directory, String file) {
    if (!Files.isRegularFile(directory.resolve(file))) {
      throw new RefluxException(
          "--data: %s has no %s (expected: %s, %s and %s)"
              .formatted(directory, file, CLINC_TRAINING, CLINC_TEST, BANKING));
    }
    try {
      return PromptResponse.read(directory.resolve(file));
    } catch (ModelException e) {
      throw new RefluxException("--data: " + e.getMessage(), e);
    }
  }

  /** In [0, 1), the same for equal prompts. */
  private static double share(PromptResponse line, long salt) {
    long mixed = (line.prompt().hashCode() + salt * 0x632BE59BD9B4E019L) * 0x9E3779B97F4A7C15L;
    return (mixed >>> 40) / (double) (1 << 24);
  }
}
