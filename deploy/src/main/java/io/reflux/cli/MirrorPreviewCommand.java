package io.reflux.cli;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.reflux.producers.MirrorConfig;
import io.reflux.producers.MirrorPreview;
import io.reflux.producers.redact.Finding;
import io.reflux.producers.redact.RedactionKind;
import io.reflux.schemas.service.RefluxException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Shows what would leave the process of a file's requests. */
@Command(
    name = "preview",
    description =
        "Shows what the mirror would send of a file, placeholders set off; sends nothing.",
    mixinStandardHelpOptions = true)
final class MirrorPreviewCommand implements Callable<Integer> {
  private static final String STANDARD_INPUT = "-";
  private static final String SET_OFF = "\u001b[1;31m";
  private static final String PLAIN = "\u001b[0m";

  @Mixin private ConfigOptions config;

  @Parameters(
      paramLabel = "FILE",
      description = "Requests as the mirror takes them or plain prompts, one a line; - for input.")
  private String file;

  @Option(names = "--all", description = "Show texts of which nothing is taken out as well.")
  private boolean all;

  @Option(names = "--json", description = "A JSON object a text, with where each finding was.")
  private boolean json;

  @Spec private CommandSpec spec;

  private final Map<RedactionKind, Long> kinds = new EnumMap<>(RedactionKind.class);
  private final JsonMapper mapper = new JsonMapper();
  private boolean styled;
  private long requests;
  private long changed;
  private long bad;

  @Override
  public Integer call() throws IOException {
    styled = Screen.ofStandardOutput().styled();
    MirrorPreview preview =
        new MirrorPreview(config.load(Map.of(), Map.of()).get(MirrorConfig.class));
    PrintWriter out = spec.commandLine().getOut();
    try (BufferedReader lines = open()) {
      long number = 0;
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        number++;
        if (!line.isBlank()) {
          show(number, preview.of(line), out);
        }
      }
    } catch (IOException e) {
      throw new RefluxException(
          file + ": cannot be read: " + e.getMessage() + " (expected: a file in UTF-8)", e);
    }
    out.flush();
    String found =
        kinds.entrySet().stream()
            .map(entry -> entry.getValue() + " " + entry.getKey().code())
            .collect(Collectors.joining(", "));
    PrintWriter summary = spec.commandLine().getErr();
    summary.println(
        requests
            + " requests, "
            + changed
            + " with something taken out"
            + (found.isEmpty() ? "" : " (" + found + ")")
            + (bad == 0 ? "" : "; no requests: " + bad)
            + "; nothing was sent");
    summary.flush();
    return 0;
  }

  private BufferedReader open() throws IOException {
    if (file.equals(STANDARD_INPUT)) {
      return new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    }
    Path path = Path.of(file);
    if (!Files.isRegularFile(path)) {
      throw new RefluxException(file + ": no such file (expected: requests, one a line)");
    }
    return Files.newBufferedReader(path);
  }

  private void show(long number, MirrorPreview.Line line, PrintWriter out) throws IOException {
    if (line.mistake().isPresent()) {
      bad++;
      spec.commandLine().getErr().println("line " + number + ": " + line.mistake().get());
      return;
    }
    requests++;
    boolean any = false;
    for (MirrorPreview.Field field : line.fields()) {
      boolean found = !field.redaction().findings().isEmpty() || !field.redaction().complete();
      any |= found;
      for (Finding finding : field.redaction().findings()) {
        kinds.merge(finding.kind(), 1L, Long::sum);
      }
      if (found || all) {
        out.println(
            json ? asJson(number, field) : number + "  " + field.name() + ": " + text(field));
      }
    }
    changed += any ? 1 : 0;
  }

  private String text(MirrorPreview.Field field) {
    if (!field.redaction().complete()) {
      return "(not looked through in time: the request is dropped)";
    }
    if (field.isHashed()) {
      return styled ? SET_OFF + field.after() + PLAIN : field.after();
    }
    StringBuilder text = new StringBuilder();
    int from = 0;
    for (Finding finding : field.redaction().findings()) {
      text.append(field.before(), from, finding.start())
          .append(styled ? SET_OFF : "")
          .append(finding.kind().placeholder())
          .append(styled ? PLAIN : "");
      from = finding.end();
    }
    // A line of the file stays a line here.
    return text.append(field.before().substring(from)).toString().replace("\n", "\\n");
  }

  private String asJson(long number, MirrorPreview.Field field) throws IOException {
    ObjectNode node = mapper.createObjectNode();
    node.put("line", number).put("field", field.name()).put("text", field.after());
    ArrayNode findings = node.putArray("findings");
    for (Finding finding : field.redaction().findings()) {
      findings
          .addObject()
          .put("kind", finding.kind().code())
          .put("rule", finding.rule())
          .put("start", finding.start())
          .put("end", finding.end());
    }
    return mapper.writeValueAsString(node);
  }
}
