package io.reflux.inspect;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.reflux.inspect.SnapshotFacts.Signer;
import io.reflux.schemas.avro.SnapshotFile;
import io.reflux.schemas.avro.SnapshotLineage;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.snapshots.SnapshotAccess;
import io.reflux.snapshots.SnapshotCatalog.Channel;
import io.reflux.snapshots.SnapshotFormat;
import java.io.PrintWriter;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/** All that is known of one version, for people or as JSON. */
public final class SnapshotPage {
  private final SnapshotAccess access;
  private final PrintWriter out;

  public SnapshotPage(SnapshotAccess access, PrintWriter out) {
    this.access = access;
    this.out = out;
  }

  /** As one line of JSON. */
  public void json(SnapshotManifest manifest, FleetLines fleets) {
    ObjectNode object = SnapshotJson.of(manifest, access);
    fleets.json(object.putArray("fleets"), manifest.getVersion());
    out.println(object);
    out.flush();
  }

  /**
   * A line a fact.
   *
   * @param channels all there are
   * @param fleets all that report
   */
  public void print(SnapshotManifest manifest, List<Channel> channels, FleetLines fleets) {
    line("version", manifest.getVersion());
    line("parent", manifest.getParent() == null ? "none" : manifest.getParent());
    line("student", manifest.getStudentName());
    line("created", manifest.getCreatedAt());
    for (Channel channel : channels) {
      channel
          .pointer()
          .filter(pointer -> pointer.getVersion() == manifest.getVersion())
          .ifPresent(this::channel);
    }
    fleets.of(manifest.getVersion()).forEach(fleet -> line("fleet", fleet));
    line("trained", trained(manifest));
    line("parameters", String.format(Locale.ROOT, "%,d", manifest.getParameters()));
    line("format", SnapshotFacts.format(manifest));
    for (SnapshotFormat format : SnapshotFormat.offeredBy(manifest)) {
      line("", format + ", " + SnapshotFacts.size(format.ownBytes(manifest)));
    }
    Signer signer = Signer.of(manifest, access);
    line("signed by", signer.brief() + id(manifest));
    signer.problem().ifPresent(problem -> line("", problem));
    files(manifest);
    map("quality", manifest.getQuality());
    line("teacher", manifest.getTeacherFingerprint() + name(manifest.getLineage()));
    line("weights", manifest.getStudentFingerprint());
    line("tokenizer", manifest.getTokenizerFingerprint());
    String template = manifest.getChatTemplateFingerprint();
    line("template", template.isEmpty() ? "none" : template);
    lineage(manifest);
    out.flush();
  }

  private void channel(SnapshotPointer pointer) {
    line(
        "channel",
        pointer.getChannel()
            + (pointer.getPinned() ? ", pinned" : "")
            + (pointer.getRollback() ? ", rolled back" : "")
            + (pointer.getPrevious() == null ? "" : ", from version " + pointer.getPrevious())
            + ", "
            + pointer.getMovedAt()
            + ": "
            + pointer.getReason());
  }

  private static String trained(SnapshotManifest manifest) {
    return String.format(
        Locale.ROOT,
        "%,d steps, %,d rows",
        manifest.getTrainingStep(),
        manifest.getTokensTrained());
  }

  private static String id(SnapshotManifest manifest) {
    return manifest.getKeyId().isEmpty() ? "" : ", key " + manifest.getKeyId();
  }

  private static String name(SnapshotLineage lineage) {
    return lineage == null || lineage.getTeacherName().isEmpty()
        ? ""
        : " (" + lineage.getTeacherName() + ")";
  }

  private void files(SnapshotManifest manifest) {
    String base =
        manifest.getDeltaBase() == null
            ? ""
            : ", a difference to version " + manifest.getDeltaBase();
    line("files", SnapshotFacts.size(SnapshotFacts.bytes(manifest)) + base);
    for (SnapshotFile file : manifest.getFiles()) {
      line(
          "",
          file.getSha256()
              + "  "
              + file.getPath()
              + ", "
              + SnapshotFacts.size(file.getSizeBytes())
              + " in "
              + (file.getBlocks().isEmpty()
                  ? file.getChunks() + " chunks"
                  : file.getBlocks().size() + " blocks")
              + ", "
              + file.getStore());
    }
  }

  private void lineage(SnapshotManifest manifest) {
    SnapshotLineage lineage = manifest.getLineage();
    line("seed", manifest.getSeed());
    line("code", manifest.getCodeVersion());
    map("offsets", manifest.getInputOffsets());
    if (lineage == null) {
      line("requests", "of unknown times");
      return;
    }
    line(
        "requests", "of " + time(lineage.getTrainedFrom()) + " to " + time(lineage.getTrainedTo()));
    map("settings", lineage.getConfiguration());
  }

  private static String time(Instant time) {
    return time == null ? "unknown" : time.toString();
  }

  private void map(String name, Map<String, ?> values) {
    if (values.isEmpty()) {
      line(name, "none");
    }
    String label = name;
    for (Map.Entry<String, ?> value : new TreeMap<>(values).entrySet()) {
      line(label, value.getKey() + " = " + value.getValue());
      label = "";
    }
  }

  private void line(String name, Object value) {
    out.printf("%-11s %s%n", name, value);
  }
}
