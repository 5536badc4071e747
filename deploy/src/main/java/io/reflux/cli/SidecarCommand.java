package io.reflux.cli;

import io.reflux.config.Settings;
import io.reflux.operations.PrometheusMeters;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.service.Service;
import io.reflux.serving.sidecar.SidecarConfig;
import io.reflux.serving.sidecar.SidecarService;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Snapshots for a fleet that is not ours. */
@Command(
    name = "sidecar",
    description = {
      "Lays the published student into a folder for vLLM, SGLang or another runtime, points a link "
          + "to it, and asks the runtime to read it.",
      "If the runtime will not, the link points to the version before again."
    },
    mixinStandardHelpOptions = true)
final class SidecarCommand extends ServiceCommand {
  @Option(names = "--channel", description = "Channel to follow (reflux.sidecar.channel).")
  private String channel;

  @Option(
      names = "--format",
      description = "hf, safetensors, onnx or gguf (reflux.sidecar.format).")
  private String format;

  @Option(
      names = "--folder",
      paramLabel = "DIR",
      description = "Where versions/N and current are (reflux.sidecar.folder).")
  private Path folder;

  @Option(
      names = "--webhook",
      paramLabel = "URL",
      description = "Called once current points to another version (reflux.sidecar.webhook).")
  private String webhook;

  @Option(
      names = "--webhook-style",
      paramLabel = "STYLE",
      description =
          "plain, or sglang or vllm with the server's base address as URL "
              + "(reflux.sidecar.webhook-style).")
  private String webhookStyle;

  @Option(
      names = "--webhook-method",
      paramLabel = "METHOD",
      description = "Of a plain call (reflux.sidecar.webhook-method).")
  private String webhookMethod;

  @Option(
      names = "--webhook-body",
      paramLabel = "JSON",
      description =
          "Of a plain call, such as {\"model_path\": \"{path}\"} (reflux.sidecar.webhook-body).")
  private String webhookBody;

  @Option(
      names = "--http-port",
      paramLabel = "PORT",
      description = "Metrics and health; 0 for any free, -1 for none (reflux.sidecar.http.port).")
  private Integer httpPort;

  @Override
  Map<String, Object> flags() {
    Map<String, Object> flags = new LinkedHashMap<>();
    flags.put("reflux.sidecar.channel", channel);
    flags.put("reflux.sidecar.format", format);
    flags.put("reflux.sidecar.folder", folder);
    flags.put("reflux.sidecar.webhook", webhook);
    flags.put("reflux.sidecar.webhook-style", webhookStyle);
    flags.put("reflux.sidecar.webhook-method", webhookMethod);
    flags.put("reflux.sidecar.webhook-body", webhookBody);
    flags.put("reflux.sidecar.http.port", httpPort);
    return flags;
  }

  @Override
  Service open(Settings settings, KafkaClients clients) {
    return new SidecarService(
        settings.get(SidecarConfig.class),
        settings.snapshots(clients),
        PrometheusMeters.of("sidecar"));
  }

  @Override
  String ready(Settings settings) {
    SidecarConfig sidecar = settings.get(SidecarConfig.class);
    return "sidecar: "
        + sidecar.format()
        + " of channel "
        + sidecar.channel()
        + " at "
        + sidecar.folder().orElseThrow().resolve("current")
        + metricsAt(sidecar.http().host(), sidecar.http().port());
  }
}
