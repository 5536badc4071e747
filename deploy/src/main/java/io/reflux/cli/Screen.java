package io.reflux.cli;

import java.io.IOException;
import org.jline.terminal.Terminal;
import org.jline.terminal.TerminalBuilder;

/**
 * What standard output goes to.
 *
 * @param styled whether colours are understood and wanted
 * @param columns of a line
 */
record Screen(boolean styled, int columns) {
  private static final int USUAL_COLUMNS = 160;

  /** A terminal, as the launcher tells, or a file or pipe. */
  static Screen ofStandardOutput() {
    if (!Boolean.getBoolean("reflux.terminal")) {
      return new Screen(false, USUAL_COLUMNS);
    }
    boolean plain = "dumb".equals(System.getenv("TERM")) || System.getenv("NO_COLOR") != null;
    try (Terminal terminal =
        TerminalBuilder.builder().system(true).nativeSignals(false).dumb(true).build()) {
      int columns = terminal.getSize().getColumns();
      return new Screen(!plain, columns > 20 ? columns : USUAL_COLUMNS);
    } catch (IOException e) {
      return new Screen(false, USUAL_COLUMNS);
    }
  }
}
