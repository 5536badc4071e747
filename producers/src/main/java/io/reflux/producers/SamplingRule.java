package io.reflux.producers;

import io.reflux.schemas.service.RefluxException;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;

/**
 * What share of some of the traffic is mirrored.
 *
 * @param name for messages
 * @param segment that it is for, with * for any characters; empty for every one
 * @param tags that a request must all have, with * for any characters in their values
 * @param probability share of conversations, above 0 to 1
 * @param perSecond most requests a second, about: the share is lowered for as long as more come
 */
public record SamplingRule(
    String name,
    Optional<String> segment,
    Map<String, String> tags,
    double probability,
    OptionalDouble perSecond) {
  public SamplingRule {
    tags = Map.copyOf(tags);
    if (!(probability > 0 && probability <= 1)) {
      throw new RefluxException(name + ": " + probability + " (expected: above 0, to 1)");
    }
    if (perSecond.isPresent() && !(perSecond.getAsDouble() > 0)) {
      throw new RefluxException(
          name + ": " + perSecond.getAsDouble() + " a second (expected: above 0)");
    }
  }

  /** Whether it is for a request. */
  boolean matches(String itsSegment, Map<String, String> itsTags) {
    if (segment.isPresent() && !matches(segment.get(), itsSegment)) {
      return false;
    }
    for (Map.Entry<String, String> tag : tags.entrySet()) {
      String value = itsTags.get(tag.getKey());
      if (value == null || !matches(tag.getValue(), value)) {
        return false;
      }
    }
    return true;
  }

  /**
   * Each star takes as little as it can, and more where the rest does not fit: linear in practice.
   */
  private static boolean matches(String pattern, String text) {
    int p = 0;
    int t = 0;
    int star = -1;
    int taken = 0;
    while (t < text.length()) {
      if (p < pattern.length() && pattern.charAt(p) == '*') {
        star = p++;
        taken = t;
      } else if (p < pattern.length() && pattern.charAt(p) == text.charAt(t)) {
        p++;
        t++;
      } else if (star >= 0) {
        p = star + 1;
        t = ++taken;
      } else {
        return false;
      }
    }
    while (p < pattern.length() && pattern.charAt(p) == '*') {
      p++;
    }
    return p == pattern.length();
  }
}
