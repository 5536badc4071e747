package io.reflux.scorer.remote;

import io.reflux.schemas.service.RefluxException;
import java.net.URI;
import java.net.URISyntaxException;
import java.time.Duration;
import java.util.Locale;
import java.util.Optional;

/**
 * Where the server is and how it is asked. Messages name the keys of the configuration.
 *
 * @param url its base, http or https, a path before {@code /v1} kept
 * @param model its name there; empty takes the only one
 * @param concurrency calls at the same time, at least 1
 * @param timeout of one attempt
 * @param attempts of one call, the first one included
 * @param apiKey sent as a bearer token, shown nowhere
 */
public record RemoteOptions(
    String url,
    Optional<String> model,
    RemoteApi api,
    int concurrency,
    Duration timeout,
    int attempts,
    Optional<String> apiKey) {

  public RemoteOptions {
    url = base(url);
    require(concurrency >= 1 && concurrency <= 4096, "concurrency", concurrency, "1 to 4096");
    require(attempts >= 1 && attempts <= 100, "attempts", attempts, "1 to 100");
    require(
        timeout.toMillis() >= 1 && timeout.toDays() < 1, "timeout", timeout, "1ms to less than 1d");
    // Not shown even when it is wrong.
    require(
        apiKey.stream().allMatch(RemoteOptions::isToken),
        "api-key",
        "empty, or with a character that no token has",
        "letters, digits and signs, without spaces");
  }

  /** Without a slash at its end, and without the {@code /v1} that some write behind it. */
  private static String base(String url) {
    URI uri;
    try {
      uri = new URI(url.strip());
    } catch (URISyntaxException e) {
      throw wrongUrl(url, e);
    }
    String scheme = String.valueOf(uri.getScheme()).toLowerCase(Locale.ROOT);
    boolean plain =
        uri.getHost() != null
            && uri.getRawQuery() == null
            && uri.getRawFragment() == null
            && uri.getRawUserInfo() == null;
    if (!plain || !(scheme.equals("http") || scheme.equals("https"))) {
      throw wrongUrl(uri.getRawUserInfo() == null ? url : "has a name or password", null);
    }
    String path = uri.getRawPath().replaceAll("/+$", "");
    if (path.endsWith("/v1")) {
      path = path.substring(0, path.length() - "/v1".length());
    }
    return scheme + "://" + uri.getRawAuthority() + path;
  }

  private static boolean isToken(String key) {
    return !key.isEmpty() && key.chars().allMatch(c -> c > ' ' && c < 0x7F);
  }

  private static RefluxException wrongUrl(String url, Exception cause) {
    return new RefluxException(
        "reflux.score.remote.url: "
            + url
            + " (expected: http or https, a host and perhaps a path, such as http://host:8000)",
        cause);
  }

  private static void require(boolean holds, String key, Object value, String expected) {
    if (!holds) {
      throw new RefluxException(
          "reflux.score.remote." + key + ": " + value + " (expected: " + expected + ")");
    }
  }

  @Override
  public String toString() {
    return "RemoteOptions[" + api.key() + " at " + url + "]";
  }
}
