package io.reflux.model.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.BufferedReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** Runs in a JVM of its own, whose heap is resident from the start: what grows is native memory. */
class NativeMemoryTest {
  @Test
  void openingAndClosingModelsOverAndOverKeepsNoMemory() throws Exception {
    assumeTrue(Files.isReadable(NativeMemoryProbe.STATM));
    Process probe =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xms256m",
                "-Xmx256m",
                "-XX:+AlwaysPreTouch",
                "-cp",
                System.getProperty("java.class.path"),
                NativeMemoryProbe.class.getName())
            .redirectErrorStream(true)
            .start();
    try (BufferedReader output = probe.inputReader()) {
      String printed = output.lines().collect(Collectors.joining("\n"));
      assertThat(probe.waitFor()).as(printed).isZero();
      Matcher growth = Pattern.compile("growth=(-?\\d+)").matcher(printed);
      assertThat(growth.find()).as(printed).isTrue();
      assertThat(Long.parseLong(growth.group(1))).isLessThan(100L << 20);
    } finally {
      probe.destroyForcibly();
    }
  }
}
