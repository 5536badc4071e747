package io.reflux.cli;

import java.io.IOException;
import java.io.PrintStream;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import org.jline.terminal.Size;
import org.jline.terminal.Terminal;
import org.jline.terminal.TerminalBuilder;
import org.jline.utils.AttributedString;
import org.jline.utils.AttributedStringBuilder;
import org.jline.utils.AttributedStyle;
import org.jline.utils.Display;

/**
 * A few lines that are redrawn in place where standard output is a terminal that can, and one plain
 * line every few seconds where it goes to a file or a pipe. One thread at a time.
 */
public final class LiveDisplay implements AutoCloseable {
  public static final AttributedStyle DIM = AttributedStyle.DEFAULT.faint();
  public static final AttributedStyle BOLD = AttributedStyle.DEFAULT.bold();
  public static final AttributedStyle WARN =
      AttributedStyle.DEFAULT.bold().foreground(AttributedStyle.RED);
  public static final AttributedStyle GOOD =
      AttributedStyle.DEFAULT.foreground(AttributedStyle.GREEN);

  private static final String BARS = "▁▂▃▄▅▆▇█";
  private static final Duration PLAIN_INTERVAL = Duration.ofSeconds(5);

  private final PrintStream plain;
  private final Terminal terminal;
  private final Display display;
  private long nextPlainMillis;

  private LiveDisplay(PrintStream plain, Terminal terminal) {
    this.plain = plain;
    this.terminal = terminal;
    this.display = terminal == null ? null : new Display(terminal, false);
  }

  /** Redraws in place if standard output is a terminal that can. */
  public static LiveDisplay open(PrintStream out) {
    if (!Boolean.getBoolean("reflux.terminal") || "dumb".equals(System.getenv("TERM"))) {
      return new LiveDisplay(out, null);
    }
    try {
      // Signals stay with the command: Ctrl-C drains.
      Terminal terminal =
          TerminalBuilder.builder().system(true).nativeSignals(false).dumb(true).build();
      if (terminal.getType().startsWith(Terminal.TYPE_DUMB)) {
        terminal.close();
        return new LiveDisplay(out, null);
      }
      return new LiveDisplay(out, terminal);
    } catch (IOException e) {
      return new LiveDisplay(out, null);
    }
  }

  /** Whether lines are redrawn, so that nothing else may be printed between. */
  public boolean isInPlace() {
    return display != null;
  }

  /** Prints a line that stays. */
  public void say(String line) {
    if (display == null) {
      plain.println(line);
      plain.flush();
    } else {
      display.update(List.of(), 0);
      terminal.writer().println(line);
      terminal.flush();
    }
  }

  /**
   * Shows how things stand.
   *
   * @param elapsed decides whether it is time for a plain line
   * @param lines asked where they are redrawn
   * @param oneLine asked where they are not
   */
  public void show(
      Duration elapsed, Supplier<List<AttributedString>> lines, Supplier<String> oneLine) {
    if (display != null) {
      Size size = terminal.getSize();
      int columns = size.getColumns() > 20 ? size.getColumns() : 100;
      int rows = size.getRows() > 5 ? size.getRows() : 40;
      display.resize(rows, columns);
      List<AttributedString> cut = new ArrayList<>();
      for (AttributedString line : lines.get()) {
        cut.add(line.columnSubSequence(0, columns - 1));
      }
      display.update(cut.subList(0, Math.min(cut.size(), rows - 1)), -1);
      return;
    }
    long now = elapsed.toMillis();
    if (now >= nextPlainMillis) {
      nextPlainMillis = now + PLAIN_INTERVAL.toMillis();
      plain.println(oneLine.get());
      plain.flush();
    }
  }

  /** A line with a name before it. */
  public static AttributedString row(String name, String text) {
    return new AttributedStringBuilder()
        .append("  ")
        .styled(BOLD, String.format("%-11s", name))
        .append(text)
        .toAttributedString();
  }

  /** A line that does not ask to be read. */
  public static AttributedString dim(String text) {
    return new AttributedStringBuilder().styled(DIM, text).toAttributedString();
  }

  /** Values as bars from their smallest to their largest; a gap where one is not finite. */
  public static String spark(double[] values) {
    double least = Double.MAX_VALUE;
    double most = -Double.MAX_VALUE;
    for (double v : values) {
      if (Double.isFinite(v)) {
        least = Math.min(least, v);
        most = Math.max(most, v);
      }
    }
    StringBuilder bars = new StringBuilder();
    for (double v : values) {
      double share = most > least ? (v - least) / (most - least) : 0;
      bars.append(
          Double.isFinite(v) ? BARS.charAt((int) Math.round(share * (BARS.length() - 1))) : ' ');
    }
    return bars.toString();
  }

  @Override
  public void close() throws IOException {
    if (terminal != null) {
      terminal.writer().println();
      terminal.flush();
      terminal.close();
    }
  }
}
