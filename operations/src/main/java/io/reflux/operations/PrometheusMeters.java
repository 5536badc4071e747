package io.reflux.operations;

import io.micrometer.core.instrument.Meter;
import io.micrometer.core.instrument.config.NamingConvention;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;

/** Registries whose meters Prometheus sees under the service's name. */
public final class PrometheusMeters {
  private PrometheusMeters() {}

  /**
   * A registry for one service. Its meters keep their own names for whoever reads the registry; in
   * what Prometheus reads {@code labels_total} of the scorer is {@code reflux_scorer_labels_total}.
   *
   * @param service such as {@code scorer}
   */
  public static PrometheusMeterRegistry of(String service) {
    PrometheusMeterRegistry registry = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
    registry
        .config()
        .namingConvention(
            new Prefixed("reflux_" + service + "_", registry.config().namingConvention()));
    return registry;
  }

  private record Prefixed(String prefix, NamingConvention convention) implements NamingConvention {
    @Override
    public String name(String name, Meter.Type type, String baseUnit) {
      return convention.name(prefix + name, type, baseUnit);
    }

    @Override
    public String tagKey(String key) {
      return convention.tagKey(key);
    }

    @Override
    public String tagValue(String value) {
      return convention.tagValue(value);
    }
  }
}
