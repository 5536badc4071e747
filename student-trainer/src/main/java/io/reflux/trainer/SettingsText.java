package io.reflux.trainer;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** The settings in force as keys and values, as a run's files and its page show them. */
final class SettingsText {
  private static final Pattern OPERATION =
      Pattern.compile(
          "reflux\\.train\\.(teacher|student-name|data-dir|channel"
              + "|snapshot-(interval|steps|formats|format-divergence)|gate.*"
              + "|golden-prompts|http\\..*"
              + "|checkpoint-(interval|steps|retention)|record-interval|stop-at-step"
              + "|peak-gflops|offload)");

  private SettingsText() {}

  static Map<String, String> of(TrainerConfig config) {
    Map<String, String> settings = new TreeMap<>();
    add("reflux.train.", TrainerConfig.class, config, settings);
    return settings;
  }

  /** Those that have a say in the weights: neither places nor times of writing and publishing. */
  static Map<String, String> shapingWeights(TrainerConfig config) {
    Map<String, String> settings = of(config);
    settings.keySet().removeIf(key -> OPERATION.matcher(key).matches());
    return settings;
  }

  private static void add(
      String prefix, Class<?> mapping, Object values, Map<String, String> settings) {
    for (Method method : mapping.getMethods()) {
      Object value = value(method, values);
      String key = prefix + kebabCase(method.getName());
      if (method.getReturnType().getEnclosingClass() == TrainerConfig.class
          && method.getReturnType().isInterface()) {
        add(key + ".", method.getReturnType(), value, settings);
      } else {
        settings.put(key, text(value));
      }
    }
  }

  private static Object value(Method method, Object values) {
    try {
      return method.invoke(values);
    } catch (IllegalAccessException | InvocationTargetException e) {
      throw new IllegalStateException("setting " + method.getName(), e);
    }
  }

  private static String text(Object value) {
    if (value instanceof Optional<?> optional) {
      return optional.map(Object::toString).orElse("");
    }
    if (value instanceof OptionalLong optional) {
      return optional.isPresent() ? Long.toString(optional.getAsLong()) : "";
    }
    if (value instanceof OptionalInt optional) {
      return optional.isPresent() ? Integer.toString(optional.getAsInt()) : "";
    }
    if (value instanceof OptionalDouble optional) {
      return optional.isPresent() ? Double.toString(optional.getAsDouble()) : "";
    }
    if (value instanceof List<?> list) {
      return list.stream().map(String::valueOf).collect(Collectors.joining(","));
    }
    return String.valueOf(value);
  }

  private static String kebabCase(String name) {
    return name.replaceAll("([a-z0-9])([A-Z])", "$1-$2").toLowerCase(Locale.ROOT);
  }
}
