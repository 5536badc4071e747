package io.reflux.inspect;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.Weights;
import io.reflux.schemas.avro.SnapshotFile;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.snapshots.FetchedSnapshot;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;
import java.util.TreeSet;

/** What differs between two versions: where they come from, their quality, size and weights. */
public final class SnapshotDiff {
  private final SnapshotManifest one;
  private final SnapshotManifest other;
  private final List<Fact> facts = new ArrayList<>();
  private final List<Tensor> tensors = new ArrayList<>();
  private int compared;

  /** A fact that is not the same; null where a version has no such thing. */
  private record Fact(String name, String before, String after) {}

  /**
   * A tensor that is not the same.
   *
   * @param what is different
   * @param change norm of the difference over the norm of the first, where shapes allow it
   */
  private record Tensor(String name, String what, Optional<Double> change) {}

  /** Of two that are on the local disk, verified. */
  public SnapshotDiff(FetchedSnapshot one, FetchedSnapshot other) {
    this.one = one.manifest();
    this.other = other.manifest();
    facts();
    tensors(
        LanguageModel.load(one.directory()).weights(),
        LanguageModel.load(other.directory()).weights());
  }

  /** For people, or as one line of JSON. */
  public void print(PrintWriter out, boolean json) {
    if (json) {
      out.println(json());
    } else {
      text(out);
    }
    out.flush();
  }

  private void facts() {
    compare("student_name", one.getStudentName(), other.getStudentName());
    compare("quantisation", one.getQuantisation(), other.getQuantisation());
    compare("formats", one.getFormats().toString(), other.getFormats().toString());
    compare("training_step", one.getTrainingStep(), other.getTrainingStep());
    compare("tokens_trained", one.getTokensTrained(), other.getTokensTrained());
    compare("parameters", one.getParameters(), other.getParameters());
    compare("size_bytes", SnapshotFacts.bytes(one), SnapshotFacts.bytes(other));
    compare("files", files(one), files(other));
    compare("quality.", one.getQuality(), other.getQuality());
    compare("teacher_fingerprint", one.getTeacherFingerprint(), other.getTeacherFingerprint());
    compare(
        "tokenizer_fingerprint", one.getTokenizerFingerprint(), other.getTokenizerFingerprint());
    compare(
        "chat_template_fingerprint",
        one.getChatTemplateFingerprint(),
        other.getChatTemplateFingerprint());
    compare("seed", one.getSeed(), other.getSeed());
    compare("code_version", one.getCodeVersion(), other.getCodeVersion());
    compare("key_id", one.getKeyId(), other.getKeyId());
    compare("input_offsets.", one.getInputOffsets(), other.getInputOffsets());
    compare(
        "teacher_name",
        one.getLineage() == null ? null : one.getLineage().getTeacherName(),
        other.getLineage() == null ? null : other.getLineage().getTeacherName());
    compare(
        "trained_from",
        one.getLineage() == null ? null : one.getLineage().getTrainedFrom(),
        other.getLineage() == null ? null : other.getLineage().getTrainedFrom());
    compare(
        "trained_to",
        one.getLineage() == null ? null : one.getLineage().getTrainedTo(),
        other.getLineage() == null ? null : other.getLineage().getTrainedTo());
    compare(
        "",
        one.getLineage() == null ? Map.of() : one.getLineage().getConfiguration(),
        other.getLineage() == null ? Map.of() : other.getLineage().getConfiguration());
  }

  private static String files(SnapshotManifest manifest) {
    return manifest.getFiles().stream().map(SnapshotFile::getPath).toList().toString();
  }

  private void compare(String prefix, Map<String, ?> before, Map<String, ?> after) {
    TreeSet<String> names = new TreeSet<>(before.keySet());
    names.addAll(after.keySet());
    names.forEach(name -> compare(prefix + name, before.get(name), after.get(name)));
  }

  private void compare(String name, Object before, Object after) {
    if (!Objects.equals(before, after)) {
      facts.add(
          new Fact(
              name,
              before == null ? null : before.toString(),
              after == null ? null : after.toString()));
    }
  }

  private void tensors(Weights before, Weights after) {
    Map<String, TensorInfo> left = byName(before);
    Map<String, TensorInfo> right = byName(after);
    TreeSet<String> names = new TreeSet<>(left.keySet());
    names.addAll(right.keySet());
    compared = names.size();
    for (String name : names) {
      TensorInfo a = left.get(name);
      TensorInfo b = right.get(name);
      if (a == null || b == null) {
        tensors.add(new Tensor(name, a == null ? "added" : "removed", Optional.empty()));
      } else if (!a.shape().equals(b.shape())) {
        tensors.add(new Tensor(name, a.shape() + " to " + b.shape(), Optional.empty()));
      } else {
        float[] x = before.floats(name);
        float[] y = after.floats(name);
        if (!Arrays.equals(x, y)) {
          tensors.add(new Tensor(name, "changed", Optional.of(change(x, y))));
        }
      }
    }
  }

  private static Map<String, TensorInfo> byName(Weights weights) {
    Map<String, TensorInfo> tensors = new TreeMap<>();
    weights.tensors().forEach(tensor -> tensors.put(tensor.name(), tensor));
    return tensors;
  }

  private static double change(float[] before, float[] after) {
    double difference = 0;
    double norm = 0;
    for (int i = 0; i < before.length; i++) {
      difference += ((double) after[i] - before[i]) * ((double) after[i] - before[i]);
      norm += (double) before[i] * before[i];
    }
    return Math.sqrt(difference / Math.max(norm, Double.MIN_NORMAL));
  }

  private void text(PrintWriter out) {
    List<List<String>> rows = new ArrayList<>();
    rows.add(List.of("WHAT", "VERSION " + one.getVersion(), "VERSION " + other.getVersion()));
    for (Fact fact : facts) {
      rows.add(List.of(fact.name(), text(fact.before()), text(fact.after())));
    }
    Columns.print(out, rows);
    out.printf("%d of %d tensors differ%n", tensors.size(), compared);
    if (tensors.isEmpty()) {
      return;
    }
    List<List<String>> changes = new ArrayList<>();
    changes.add(List.of("TENSOR", "WHAT", "RELATIVE CHANGE"));
    for (Tensor tensor : tensors) {
      changes.add(
          List.of(
              tensor.name(),
              tensor.what(),
              tensor.change().map(value -> String.format(Locale.ROOT, "%.5f", value)).orElse("-")));
    }
    Columns.print(out, changes);
  }

  private static String text(String value) {
    return value == null ? "-" : value;
  }

  private ObjectNode json() {
    ObjectNode object = SnapshotJson.object();
    object.put("before", one.getVersion());
    object.put("after", other.getVersion());
    ObjectNode differences = object.putObject("differences");
    for (Fact fact : facts) {
      differences.putObject(fact.name()).put("before", fact.before()).put("after", fact.after());
    }
    object.put("tensors", compared);
    ArrayNode changed = object.putArray("tensors_changed");
    for (Tensor tensor : tensors) {
      changed
          .addObject()
          .put("name", tensor.name())
          .put("what", tensor.what())
          .put("relative_change", tensor.change().orElse(null));
    }
    return object;
  }
}
