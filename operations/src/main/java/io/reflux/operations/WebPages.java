package io.reflux.operations;

import com.linecorp.armeria.common.HttpData;
import com.linecorp.armeria.common.HttpHeaderNames;
import com.linecorp.armeria.common.HttpRequest;
import com.linecorp.armeria.common.HttpResponse;
import com.linecorp.armeria.common.HttpStatus;
import com.linecorp.armeria.common.MediaType;
import com.linecorp.armeria.common.ResponseHeaders;
import com.linecorp.armeria.server.HttpService;
import com.linecorp.armeria.server.ServerBuilder;
import com.linecorp.armeria.server.ServiceRequestContext;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * Pages of a service, which only read and load nothing from elsewhere: files from the class path,
 * text made when it is asked for, and what all of Reflux's pages are made of ({@code /style.css},
 * {@code /icon.svg}, {@code /curves.js}, {@code /figures.js}, {@code /chart.umd.min.js}).
 */
public final class WebPages {
  private static final String CHARTS =
      "/META-INF/resources/webjars/chart.js/4.5.1/dist/chart.umd.min.js";
  private static final String POLICY =
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src"
          + " 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
  private static final MediaType JAVASCRIPT = MediaType.parse("text/javascript; charset=utf-8");

  private final ServerBuilder builder;
  private final boolean loopback;

  /**
   * Adds the common files to a server.
   *
   * @param address that the server listens on
   */
  public WebPages(ServerBuilder builder, InetAddress address) {
    this.builder = builder;
    this.loopback = address.isLoopbackAddress();
    file("/style.css", WebPages.class, "web/style.css");
    file("/icon.svg", WebPages.class, "web/icon.svg");
    file("/curves.js", WebPages.class, "web/curves.js");
    file("/figures.js", WebPages.class, "web/figures.js");
    file("/chart.umd.min.js", WebPages.class, CHARTS);
  }

  /**
   * Adds a file.
   *
   * @param beside the class beside which the resource lies; its name tells its type
   */
  public WebPages file(String path, Class<?> beside, String resource) {
    byte[] bytes = read(beside, resource);
    ResponseHeaders headers =
        ResponseHeaders.builder(HttpStatus.OK)
            .contentType(type(resource))
            .add(HttpHeaderNames.CACHE_CONTROL, "no-cache")
            .build();
    return get(path, context -> HttpResponse.of(headers, HttpData.wrap(bytes)));
  }

  /** Adds a text that is made anew for each request. */
  public WebPages text(String path, MediaType type, Supplier<String> body) {
    return get(
        path,
        context ->
            HttpResponse.of(
                ResponseHeaders.builder(HttpStatus.OK)
                    .contentType(type)
                    .add(HttpHeaderNames.CACHE_CONTROL, "no-store")
                    .build(),
                HttpData.ofUtf8(body.get())));
  }

  /** Adds something else to read. */
  public WebPages get(String path, Function<ServiceRequestContext, HttpResponse> answer) {
    HttpService reading =
        (context, request) ->
            switch (request.method()) {
              case GET, HEAD -> answer.apply(context);
              default ->
                  HttpResponse.of(
                      ResponseHeaders.of(
                          HttpStatus.METHOD_NOT_ALLOWED, HttpHeaderNames.ALLOW, "GET, HEAD"));
            };
    builder.service(path, reading.decorate(this::guard));
    return this;
  }

  /**
   * Refuses names that are not this machine's while listening on loopback only, so that no foreign
   * page can read this one by pointing its own name here; adds the security headers.
   */
  private HttpResponse guard(HttpService next, ServiceRequestContext context, HttpRequest request)
      throws Exception {
    if (loopback && !local(request.authority())) {
      return HttpResponse.of(
          HttpStatus.FORBIDDEN,
          MediaType.PLAIN_TEXT_UTF_8,
          "Host: " + request.authority() + " (expected: localhost or a loopback address)\n");
    }
    context.mutateAdditionalResponseHeaders(
        headers ->
            headers
                .add(HttpHeaderNames.CONTENT_SECURITY_POLICY, POLICY)
                .add(HttpHeaderNames.X_CONTENT_TYPE_OPTIONS, "nosniff")
                .add(HttpHeaderNames.REFERRER_POLICY, "no-referrer"));
    return next.serve(context, request);
  }

  private static boolean local(String authority) {
    if (authority == null) {
      return false;
    }
    String name = authority.replaceFirst(":\\d+$", "");
    return name.equals("localhost") || name.equals("[::1]") || name.matches("127(\\.\\d{1,3}){3}");
  }

  private static MediaType type(String resource) {
    return switch (resource.substring(resource.lastIndexOf('.') + 1)) {
      case "html" -> MediaType.HTML_UTF_8;
      case "css" -> MediaType.CSS_UTF_8;
      case "svg" -> MediaType.SVG_UTF_8;
      case "js" -> JAVASCRIPT;
      default ->
          throw new IllegalArgumentException(
              "resource: " + resource + " (expected: html, css, svg or js)");
    };
  }

  private static byte[] read(Class<?> beside, String resource) {
    try (InputStream in = beside.getResourceAsStream(resource)) {
      if (in == null) {
        throw new IllegalStateException("resource " + resource + " is not on the class path");
      }
      return in.readAllBytes();
    } catch (IOException e) {
      throw new UncheckedIOException(resource, e);
    }
  }
}
