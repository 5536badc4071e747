package io.reflux.run;

import io.reflux.producers.GeneratedTraffic;
import io.reflux.producers.PromptFile;
import io.reflux.producers.TrafficMirror;
import io.reflux.producers.TrafficReplay;
import io.reflux.run.RunCommand.RunOptions;
import io.reflux.schemas.service.RefluxException;
import io.reflux.traffic.Exchange;
import io.reflux.traffic.HeldOutPrompts;
import io.reflux.traffic.SupportDeskLanguage;
import io.reflux.traffic.TrafficMix;
import io.reflux.traffic.TrafficStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Supplier;

/** Where a run's requests come from. */
interface Traffic extends AutoCloseable {
  /** Share of a file's prompts that is never mirrored. */
  double HELD_OUT_FRACTION = 0.02;

  /** Prompts measured after each swap. */
  int HELD_OUT_PROMPTS = 204;

  /**
   * Opens what the options ask for.
   *
   * @param runs earlier runs on the same state, so that a resumed run sends new prompts
   */
  static Traffic open(RunOptions options, long runs) {
    return switch (options.traffic()) {
      case "generated" -> new Generated(options, runs);
      case "none" -> new None();
      default -> new Replayed(Path.of(options.traffic()), options.rate());
    };
  }

  /** Prompts that are never mirrored. */
  List<String> heldOut();

  /** Begins to mirror. */
  void start(TrafficMirror mirror);

  /**
   * Shifts the mix to requests that the student has hardly seen.
   *
   * @return whether this traffic can
   */
  boolean shift();

  /** A prompt for the served student, drawn as the mirrored ones are; null when there is none. */
  Supplier<String> userPrompts();

  /** Stops mirroring. */
  @Override
  void close();

  /** The generated support desk. */
  final class Generated implements Traffic {
    private static final long USER_SEED = 0x5EED;

    private final SupportDeskLanguage language = SupportDeskLanguage.standard();
    private final RunOptions options;
    private final long seed;
    private final TrafficStream users;
    private GeneratedTraffic feeder;

    Generated(RunOptions options, long runs) {
      this.options = options;
      this.seed = options.seed() + 1_000_003L * runs;
      this.users = language.stream(TrafficMix.initial(language), seed ^ USER_SEED);
    }

    @Override
    public List<String> heldOut() {
      return language.heldOut(options.seed(), HELD_OUT_PROMPTS).stream()
          .map(Exchange::prompt)
          .toList();
    }

    @Override
    public void start(TrafficMirror mirror) {
      feeder =
          new GeneratedTraffic(
              mirror, language, TrafficMix.initial(language), options.rate(), seed);
      feeder.start();
    }

    @Override
    public boolean shift() {
      feeder.shift();
      users.switchTo(TrafficMix.shifted(language));
      return true;
    }

    @Override
    public Supplier<String> userPrompts() {
      return () -> users.next().prompt();
    }

    @Override
    public void close() {
      if (feeder != null) {
        feeder.close();
      }
    }
  }

  /** The prompts of a file, over and over. */
  final class Replayed implements Traffic {
    private final Path file;
    private final double rate;
    private final List<String> prompts = new ArrayList<>();
    private final List<String> heldOut;
    private final AtomicInteger next = new AtomicInteger();
    private TrafficReplay feeder;

    Replayed(Path file, double rate) {
      this.file = file;
      this.rate = rate;
      List<String> kept = new ArrayList<>();
      for (String prompt : PromptFile.read(file)) {
        (HeldOutPrompts.isHeldOut(prompt, HELD_OUT_FRACTION) ? kept : prompts).add(prompt);
      }
      if (prompts.isEmpty() || kept.isEmpty()) {
        throw new RefluxException(
            "--traffic: "
                + file
                + " has "
                + (prompts.size() + kept.size())
                + " prompts (expected: some to mirror and some to hold out, say 200)");
      }
      heldOut = kept.stream().distinct().limit(HELD_OUT_PROMPTS).toList();
    }

    @Override
    public List<String> heldOut() {
      return heldOut;
    }

    @Override
    public void start(TrafficMirror mirror) {
      feeder =
          new TrafficReplay(
              mirror, new TrafficReplay.Options(file, rate, true, false, HELD_OUT_FRACTION));
      feeder.start();
    }

    @Override
    public boolean shift() {
      return false;
    }

    @Override
    public Supplier<String> userPrompts() {
      return () -> prompts.get(Math.floorMod(next.getAndIncrement(), prompts.size()));
    }

    @Override
    public void close() {
      if (feeder != null) {
        feeder.close();
      }
    }
  }

  /** Only what somebody sends to the mirror's address. */
  final class None implements Traffic {
    @Override
    public List<String> heldOut() {
      return List.of();
    }

    @Override
    public void start(TrafficMirror mirror) {}

    @Override
    public boolean shift() {
      return false;
    }

    @Override
    public Supplier<String> userPrompts() {
      return null;
    }

    @Override
    public void close() {}
  }
}
