package io.reflux.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * A Java process on this one's class path, killed when closed. Its standard input ends when this
 * process does, however that happens; a main class that should not outlive it reads it.
 */
public final class ChildJvm implements AutoCloseable {
  /** Without it logback writes every debug line that Kafka has. */
  private static final String QUIET =
      "-Dlogback.configurationFile=io/reflux/bench/child-logback.xml";

  private final Process process;
  private final Path log;

  private ChildJvm(Process process, Path log) {
    this.process = process;
    this.log = log;
  }

  /**
   * Starts one.
   *
   * @param log where what it prints goes; appended to
   */
  public static ChildJvm start(Class<?> main, List<String> flags, List<String> arguments, Path log)
      throws IOException {
    return start(main, flags, Map.of(), arguments, log);
  }

  /**
   * Starts one.
   *
   * @param environment beside what this process has
   * @param log where what it prints goes; appended to
   */
  public static ChildJvm start(
      Class<?> main,
      List<String> flags,
      Map<String, String> environment,
      List<String> arguments,
      Path log)
      throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.add(QUIET);
    command.addAll(flags);
    command.add(main.getName());
    command.addAll(arguments);
    ProcessBuilder builder =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile()));
    builder.environment().putAll(environment);
    // Not on the command line: ONNX Runtime 1.29 overflows its stack on one of some 10,000
    // characters.
    builder.environment().put("CLASSPATH", System.getProperty("java.class.path"));
    return new ChildJvm(builder.start(), log);
  }

  /** Waits for it to end. */
  public boolean awaitEnd(long time, TimeUnit unit) throws InterruptedException {
    return process.waitFor(time, unit);
  }

  /** Whether it has not ended. */
  public boolean isAlive() {
    return process.isAlive();
  }

  /** Its number on this machine. */
  public long pid() {
    return process.pid();
  }

  /** Ends its standard input, which tells a main class that reads it to end in good order. */
  public void endInput() throws IOException {
    process.getOutputStream().close();
  }

  /** The code it ended with. */
  public int exitCode() {
    return process.exitValue();
  }

  /** What it printed, with every other process on the same log. */
  public String printed() throws IOException {
    return Files.readString(log);
  }

  /** Ends it at once, as {@code kill -9} does, and returns when it is gone. */
  public void kill() throws InterruptedException {
    process.destroyForcibly().waitFor();
  }

  @Override
  public void close() {
    process.destroyForcibly();
  }
}
