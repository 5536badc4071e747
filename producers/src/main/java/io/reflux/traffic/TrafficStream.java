package io.reflux.traffic;

import java.util.ArrayList;
import java.util.List;

/**
 * An endless, reproducible stream of exchanges that holds no held-out prompt. The same language,
 * seed and mixes give the same exchanges. Not safe for concurrent calls of {@link #next}; the mix
 * may be switched from any thread.
 */
public final class TrafficStream {
  private final SupportDeskLanguage language;
  private final SeededRandom random;
  private volatile Table table;

  TrafficStream(SupportDeskLanguage language, TrafficMix mix, long seed) {
    this.language = language;
    this.random = new SeededRandom(seed);
    this.table = Table.of(language, mix);
  }

  /** Takes effect with the next exchange. */
  public void switchTo(TrafficMix mix) {
    table = Table.of(language, mix);
  }

  /** The next exchange. */
  public Exchange next() {
    Intent intent = table.pick(random.nextDouble());
    while (true) {
      Exchange exchange = language.say(intent, random);
      if (!language.isHeldOut(exchange.prompt())) {
        return exchange;
      }
    }
  }

  private record Table(List<Intent> intents, double[] cumulative) {
    static Table of(SupportDeskLanguage language, TrafficMix mix) {
      List<Intent> intents = new ArrayList<>();
      double[] cumulative = new double[mix.weights().size()];
      double sum = 0;
      for (var entry : mix.weights().entrySet()) {
        sum += entry.getValue();
        cumulative[intents.size()] = sum;
        intents.add(language.intent(entry.getKey()));
      }
      return new Table(intents, cumulative);
    }

    Intent pick(double point) {
      for (int i = 0; i < cumulative.length; i++) {
        if (point < cumulative[i]) {
          return intents.get(i);
        }
      }
      return intents.get(intents.size() - 1); // rounding left the last share a hair short of 1
    }
  }
}
