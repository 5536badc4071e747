package io.reflux.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/** What the machine is, so that figures can be compared. */
final class Conditions {
  private Conditions() {}

  static Map<String, Object> machine() {
    Map<String, Object> conditions = new LinkedHashMap<>();
    conditions.put("java", Runtime.version().toString());
    conditions.put("os", System.getProperty("os.name") + " " + System.getProperty("os.version"));
    conditions.put("processor", processor());
    conditions.put("processors", Runtime.getRuntime().availableProcessors());
    conditions.put("heap_bytes", Runtime.getRuntime().maxMemory());
    conditions.put("kafka", org.apache.kafka.common.utils.AppInfoParser.getVersion());
    conditions.put("onnxruntime", onnxRuntimeVersion());
    return conditions;
  }

  /** From the jar: benchmarks that need no model should not start the runtime. */
  private static String onnxRuntimeVersion() {
    String version = ai.onnxruntime.OrtEnvironment.class.getPackage().getImplementationVersion();
    return version == null ? "unknown" : version;
  }

  private static String processor() {
    try {
      return Files.readAllLines(Path.of("/proc/cpuinfo")).stream()
          .filter(line -> line.startsWith("model name"))
          .map(line -> line.substring(line.indexOf(':') + 1).trim())
          .findFirst()
          .orElse(System.getProperty("os.arch"));
    } catch (IOException e) {
      return System.getProperty("os.arch");
    }
  }
}
