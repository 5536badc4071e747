package io.reflux.bench.compress;

import io.reflux.bench.BenchmarkOptions;
import io.reflux.bench.recipe.TextTeacher;
import io.reflux.model.LanguageModel;
import io.reflux.traffic.SupportDeskLanguage;
import io.reflux.traffic.TrafficMix;
import io.reflux.traffic.TrafficStream;
import io.reflux.trainer.pretrain.PromptResponse;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

/**
 * A model to compress, with text in its tokens.
 *
 * @param data name of the text, for reports
 * @param calibration what compression may look at
 * @param heldOut what it is measured on; no prompt of it is in the other
 */
record Subject(LanguageModel model, String data, List<int[]> calibration, List<int[]> heldOut) {
  /**
   * How much text.
   *
   * @param calibration lines at most
   * @param heldOut lines at most
   */
  record Size(int calibration, int heldOut) {}

  /** The given teacher with generated requests, or one that was taught the given text. */
  static Subject of(BenchmarkOptions options, Size size, Path folder, PrintWriter progress)
      throws IOException {
    if (options.data().isPresent()) {
      TextTeacher teacher =
          TextTeacher.of(
              options.data().get(), options.work().orElse(folder), options.quick(), progress);
      return of(teacher.model(), teacher.data(), teacher.training(), teacher.test(), size);
    }
    // Generated text repeats itself: more lines than are wanted, each once.
    List<PromptResponse> lines =
        generated(4 * (size.calibration() + size.heldOut()), options.seed());
    int split = lines.size() * size.calibration() / (size.calibration() + size.heldOut());
    return of(
        LanguageModel.load(options.requireTeacher()),
        "generated requests",
        lines.subList(0, split),
        lines.subList(split, lines.size()),
        size);
  }

  private static Subject of(
      LanguageModel model,
      String data,
      List<PromptResponse> calibration,
      List<PromptResponse> heldOut,
      Size size) {
    return new Subject(
        model,
        data,
        calibration.stream().limit(size.calibration()).map(line -> ids(model, line)).toList(),
        heldOut.stream().limit(size.heldOut()).map(line -> ids(model, line)).toList());
  }

  private static List<PromptResponse> generated(int count, long seed) {
    TrafficStream stream = SupportDeskLanguage.standard().stream(TrafficMix.uniform(), seed);
    Set<String> seen = new HashSet<>();
    return new ArrayList<>(
        Stream.generate(stream::next)
            .limit(count)
            .filter(exchange -> seen.add(exchange.prompt()))
            .map(exchange -> new PromptResponse(exchange.prompt(), exchange.response()))
            .toList());
  }

  private static int[] ids(LanguageModel model, PromptResponse line) {
    int[] ids = model.text().exchangeIds(line.prompt(), line.response());
    return Arrays.copyOf(ids, Math.min(ids.length, model.config().maxPositions()));
  }
}
