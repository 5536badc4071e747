package io.reflux.inspect;

import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.reflux.inspect.SnapshotFacts.Signer;
import io.reflux.schemas.avro.SnapshotFile;
import io.reflux.schemas.avro.SnapshotLineage;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.snapshots.SnapshotAccess;
import io.reflux.snapshots.SnapshotCatalog.Channel;
import io.reflux.snapshots.SnapshotFormat;
import java.time.Instant;
import java.util.TreeMap;

/** Manifests and pointers as JSON, in ASCII; what is unknown is null. */
final class SnapshotJson {
  private static final JsonMapper MAPPER =
      JsonMapper.builder().enable(JsonWriteFeature.ESCAPE_NON_ASCII).build();

  private SnapshotJson() {}

  static ObjectNode object() {
    return MAPPER.createObjectNode();
  }

  static ObjectNode of(SnapshotManifest manifest, SnapshotAccess access) {
    ObjectNode object = object();
    object.put("version", manifest.getVersion());
    object.put("parent", manifest.getParent());
    object.put("student_name", manifest.getStudentName());
    object.put("created_at", manifest.getCreatedAt().toString());
    object.put("training_step", manifest.getTrainingStep());
    object.put("tokens_trained", manifest.getTokensTrained());
    object.put("parameters", manifest.getParameters());
    object.put("quantisation", manifest.getQuantisation());
    ArrayNode formats = object.putArray("formats");
    manifest.getFormats().forEach(formats::add);
    ObjectNode formatBytes = object.putObject("format_bytes");
    SnapshotFormat.offeredBy(manifest)
        .forEach(format -> formatBytes.put(format.toString(), format.ownBytes(manifest)));
    object.put("delta_base", manifest.getDeltaBase());
    object.put("size_bytes", SnapshotFacts.bytes(manifest));
    ArrayNode files = object.putArray("files");
    for (SnapshotFile file : manifest.getFiles()) {
      ObjectNode one = files.addObject();
      one.put("path", file.getPath());
      one.put("size_bytes", file.getSizeBytes());
      one.put("sha256", file.getSha256());
      one.put("store", file.getStore());
      one.put("chunks", file.getChunks());
      one.put("blocks", file.getBlocks().size());
    }
    ObjectNode quality = object.putObject("quality");
    new TreeMap<>(manifest.getQuality()).forEach(quality::put);
    ObjectNode fingerprints = object.putObject("fingerprints");
    fingerprints.put("student", manifest.getStudentFingerprint());
    fingerprints.put("teacher", manifest.getTeacherFingerprint());
    fingerprints.put("tokenizer", manifest.getTokenizerFingerprint());
    fingerprints.put("chat_template", manifest.getChatTemplateFingerprint());
    lineage(object.putObject("lineage"), manifest);
    ObjectNode signature = object.putObject("signature");
    Signer signer = Signer.of(manifest, access);
    signature.put("key_id", manifest.getKeyId().isEmpty() ? null : manifest.getKeyId());
    signature.put("signer", signer.name().isEmpty() ? null : signer.name());
    signature.put("checked", signer.checked());
    signature.put("problem", signer.problem().orElse(null));
    return object;
  }

  private static void lineage(ObjectNode object, SnapshotManifest manifest) {
    object.put("seed", manifest.getSeed());
    object.put("code_version", manifest.getCodeVersion());
    ObjectNode offsets = object.putObject("input_offsets");
    new TreeMap<>(manifest.getInputOffsets()).forEach(offsets::put);
    SnapshotLineage lineage = manifest.getLineage();
    object.put("teacher_name", lineage == null ? null : lineage.getTeacherName());
    object.put("trained_from", lineage == null ? null : text(lineage.getTrainedFrom()));
    object.put("trained_to", lineage == null ? null : text(lineage.getTrainedTo()));
    ObjectNode configuration = object.putObject("configuration");
    if (lineage != null) {
      new TreeMap<>(lineage.getConfiguration()).forEach(configuration::put);
    }
  }

  static ObjectNode of(Channel channel) {
    ObjectNode object = object();
    object.put("channel", channel.name());
    SnapshotPointer pointer = channel.pointer().orElse(null);
    object.put("version", pointer == null ? null : pointer.getVersion());
    object.put("previous", pointer == null ? null : pointer.getPrevious());
    object.put("pinned", pointer == null ? null : pointer.getPinned());
    object.put("rollback", pointer == null ? null : pointer.getRollback());
    object.put("moved_at", pointer == null ? null : pointer.getMovedAt().toString());
    object.put("reason", pointer == null ? null : pointer.getReason());
    object.put("problem", channel.problem().map(Throwable::getMessage).orElse(null));
    return object;
  }

  private static String text(Instant time) {
    return time == null ? null : time.toString();
  }
}
