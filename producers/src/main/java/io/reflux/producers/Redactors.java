package io.reflux.producers;

import io.reflux.producers.redact.CustomRule;
import io.reflux.producers.redact.RedactionKind;
import io.reflux.producers.redact.Redactor;
import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Redactors from settings. */
final class Redactors {
  private static final String PREFIX = "reflux.mirror.redact.";
  private static final String NONE = "none";
  private static final Set<String> COUNTRIES = Set.of(Locale.getISOCountries());

  /** What a mirror that is told nothing takes out. */
  static final Redactor DEFAULT =
      new Redactor(EnumSet.allOf(RedactionKind.class), List.of("US", "GB"), List.of(), List.of());

  private Redactors() {}

  /**
   * Reads the settings and the file of names.
   *
   * @throws RefluxException naming the key and the value that cannot be
   */
  static Redactor of(MirrorConfig.Redact settings) {
    List<CustomRule> rules = new ArrayList<>();
    for (Map.Entry<String, String> rule : settings.rules().entrySet()) {
      rules.add(CustomRule.of(rule.getKey(), rule.getValue()));
    }
    List<String> regions =
        settings.phoneRegions().stream().map(region -> region.toUpperCase(Locale.ROOT)).toList();
    for (String region : regions) {
      if (!COUNTRIES.contains(region)) {
        throw new RefluxException(
            PREFIX + "phone-regions: '" + region + "' (expected: ISO 3166 codes such as US,GB)");
      }
    }
    return new Redactor(
        kinds(settings.kinds()),
        regions,
        settings.names().map(Redactors::names).orElse(List.of()),
        rules);
  }

  private static Set<RedactionKind> kinds(List<String> codes) {
    Set<RedactionKind> kinds = EnumSet.noneOf(RedactionKind.class);
    if (codes.equals(List.of(NONE))) {
      return kinds;
    }
    for (String code : codes) {
      kinds.add(
          Stream.of(RedactionKind.values())
              .filter(kind -> kind.code().equals(code.strip()))
              .findFirst()
              .orElseThrow(
                  () ->
                      new RefluxException(
                          PREFIX
                              + "kinds: '"
                              + code
                              + "' (expected: none, or of "
                              + Stream.of(RedactionKind.values())
                                  .map(RedactionKind::code)
                                  .collect(Collectors.joining(", "))
                              + ")")));
    }
    return kinds;
  }

  private static List<String> names(Path file) {
    try {
      return Files.readAllLines(file).stream()
          .map(String::strip)
          .filter(line -> !line.isEmpty() && !line.startsWith("#"))
          .toList();
    } catch (CharacterCodingException e) {
      throw new RefluxException(
          PREFIX + "names: " + file + ": not UTF-8 (expected: names, one a line)", e);
    } catch (IOException e) {
      throw new RefluxException(
          PREFIX + "names: " + file + " cannot be read (expected: a file of names, one a line)", e);
    }
  }
}
