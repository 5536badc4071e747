package io.reflux.plots;

import com.github.weisj.jsvg.SVGDocument;
import com.github.weisj.jsvg.parser.LoaderContext;
import com.github.weisj.jsvg.parser.SVGLoader;
import com.github.weisj.jsvg.view.ViewBox;
import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import javax.imageio.ImageIO;

/** Writes pictures to files. */
public final class Pictures {
  /** Pixels of a PNG by a unit of the SVG: sharp on dense screens. */
  private static final int SCALE = 2;

  private Pictures() {}

  /** Whether {@link #write} knows this kind of file: {@code .svg} or {@code .png}. */
  public static boolean isSupported(Path file) {
    String name = file.getFileName().toString().toLowerCase(Locale.ROOT);
    return name.endsWith(".svg") || name.endsWith(".png");
  }

  /**
   * Writes a picture as the file's name says; folders are made if need be.
   *
   * @param svg as {@link Svg} makes it
   * @throws IOException if it cannot be written; also if it is to be PNG and this machine has no
   *     fonts
   */
  public static void write(Path file, String svg) throws IOException {
    if (!isSupported(file)) {
      throw new IllegalArgumentException("file: " + file + " (expected: .svg or .png)");
    }
    Files.createDirectories(file.toAbsolutePath().getParent());
    if (file.getFileName().toString().toLowerCase(Locale.ROOT).endsWith(".svg")) {
      Files.writeString(file, svg);
    } else if (!ImageIO.write(image(svg), "png", file.toFile())) {
      throw new IOException(file + ": this Java writes no PNG");
    }
  }

  private static BufferedImage image(String svg) throws IOException {
    // Java names its own sans-serif so, and of a list JSVG takes another.
    String drawn = svg.replace(Svg.FONTS, "SansSerif");
    SVGDocument document =
        new SVGLoader()
            .load(
                new ByteArrayInputStream(drawn.getBytes(StandardCharsets.UTF_8)),
                null,
                LoaderContext.createDefault());
    if (document == null) {
      throw new IllegalArgumentException("svg: cannot be read (expected: as Svg makes it)");
    }
    int width = SCALE * Math.round(document.size().width);
    int height = SCALE * Math.round(document.size().height);
    BufferedImage image = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
    Graphics2D graphics = image.createGraphics();
    try {
      graphics.setColor(Color.WHITE);
      graphics.fillRect(0, 0, width, height);
      graphics.setRenderingHint(RenderingHints.KEY_ANTIALIASING, RenderingHints.VALUE_ANTIALIAS_ON);
      graphics.setRenderingHint(
          RenderingHints.KEY_STROKE_CONTROL, RenderingHints.VALUE_STROKE_PURE);
      document.render(null, graphics, new ViewBox(0, 0, width, height));
    } catch (InternalError | NoClassDefFoundError | RuntimeException e) {
      // How Java 2D says that the system has no fonts differs between releases.
      throw new IOException(
          "PNG needs fonts, and this machine has none that Java finds (%s); SVG needs none"
              .formatted(e.getMessage()),
          e);
    } finally {
      graphics.dispose();
    }
    return image;
  }
}
