package io.reflux.serving.sidecar;

import io.smallrye.config.ConfigMapping;
import io.smallrye.config.WithDefault;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;

/** How snapshots are laid out for a fleet that is not ours. */
@ConfigMapping(prefix = "reflux.sidecar")
public interface SidecarConfig {
  /** Channel whose pointer is followed. */
  @WithDefault("stable")
  String channel();

  /** What the fleet reads: hf, safetensors, onnx or gguf. */
  @WithDefault("hf")
  String format();

  /**
   * Where versions are laid: versions/N, and current, a symbolic link to one of them. One sidecar a
   * folder.
   */
  Optional<Path> folder();

  /** The fleet that it reports as, on fleet-reports. */
  @WithDefault("sidecar")
  String fleet();

  /**
   * Versions that stay in the folder, the current one included; a runtime may still be reading the
   * one before.
   */
  @WithDefault("3")
  int keepVersions();

  /**
   * Called once current points to another version; it serves only if the answer is 2xx. Unset for a
   * fleet that looks by itself. The server's base address where the style is not plain.
   */
  Optional<String> webhook();

  /** What is called and with which body: plain, sglang or vllm. */
  @WithDefault("plain")
  WebhookStyle webhookStyle();

  /** Of a plain call. */
  @WithDefault("POST")
  String webhookMethod();

  /**
   * Body of a plain call, with {channel}, {version}, {path}, {current}, {format} and {fingerprint}
   * replaced by what they are; unset for all of them as JSON.
   */
  Optional<String> webhookBody();

  /** Sent as Authorization: Bearer; unset for none. */
  Optional<String> webhookToken();

  /** Longest wait for an answer. */
  @WithDefault("PT2M")
  Duration webhookTimeout();

  /** Calls before a version is given up and the one before is current again. */
  @WithDefault("5")
  int webhookAttempts();

  /** Wait before the second call; it doubles with each further one, up to half a minute. */
  @WithDefault("PT1S")
  Duration webhookBackoff();

  /** Where metrics and health are served. */
  Http http();

  /** Metrics and health. */
  interface Http {
    /** Address to listen on; the default answers this machine only. */
    @WithDefault("127.0.0.1")
    String host();

    /** Port of metrics and health; 0 takes any free one, a negative one none. */
    @WithDefault("7075")
    int port();
  }
}
