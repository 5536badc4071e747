package io.reflux.schemas.labels;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The numbers that are part of format 2, from the file that docs/SOFT_LABELS.md names: for every
 * shape that a row may have, how likely the symbols of its parts are and where its levels lie.
 */
final class TopKTables {
  static final TopKTables INSTANCE = new TopKTables();

  private static final String RESOURCE = "topk-format-2.txt";

  final int shapes;
  final AnsModel shape;
  // By shape.
  final AnsModel[] level;
  final AnsModel[] tail;
  final AnsModel[] top;
  final AnsModel[] token;
  final AnsModel[] entropy;

  /** [shapes, levels], 64ths of a level; those beyond are one level apart. */
  final int[][] scale;

  private TopKTables() {
    Map<String, List<int[]>> lines = read();
    scale = lines.get("scale").toArray(int[][]::new);
    shapes = scale.length;
    shape = models(lines, "shape", 1)[0];
    level = models(lines, "level", shapes);
    tail = models(lines, "tail", shapes);
    top = models(lines, "top", shapes);
    token = models(lines, "token", shapes);
    entropy = models(lines, "entropy", shapes);
  }

  private static AnsModel[] models(Map<String, List<int[]>> lines, String name, int expected) {
    AnsModel[] models = lines.get(name).stream().map(AnsModel::new).toArray(AnsModel[]::new);
    if (models.length != expected) {
      throw new IllegalStateException(
          RESOURCE + ": " + models.length + " lines of " + name + " (expected: " + expected + ")");
    }
    return models;
  }

  /** Lines of a name and numbers. */
  private static Map<String, List<int[]>> read() {
    Map<String, List<int[]>> lines = new HashMap<>();
    try (InputStream in = TopKTables.class.getResourceAsStream(RESOURCE);
        BufferedReader reader =
            new BufferedReader(new InputStreamReader(in, StandardCharsets.US_ASCII))) {
      for (String line = reader.readLine(); line != null; line = reader.readLine()) {
        String[] words = line.split(" ");
        int[] numbers = Arrays.stream(words).skip(1).mapToInt(Integer::parseInt).toArray();
        lines.computeIfAbsent(words[0], name -> new ArrayList<>()).add(numbers);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(RESOURCE, e);
    }
    return lines;
  }
}
