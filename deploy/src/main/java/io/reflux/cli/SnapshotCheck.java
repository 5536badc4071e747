package io.reflux.cli;

import io.reflux.model.LanguageModel;
import io.reflux.schemas.avro.SnapshotFile;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.service.RefluxException;
import io.reflux.snapshots.SnapshotAccess;
import io.reflux.snapshots.SnapshotFormat;
import io.reflux.snapshots.TrustStore.Trusted;
import java.io.PrintWriter;
import java.util.LinkedHashSet;
import java.util.Optional;
import java.util.Set;

/** Everything about a version that can be checked, a line each. */
final class SnapshotCheck {
  private final SnapshotAccess access;
  private final PrintWriter out;

  SnapshotCheck(SnapshotAccess access, PrintWriter out) {
    this.access = access;
    this.out = out;
  }

  /**
   * Checks it.
   *
   * @throws RefluxException at the first thing that is wrong
   */
  void run(SnapshotManifest manifest) {
    Optional<Trusted> signer = access.verify(manifest);
    line(
        "signature",
        signer.isPresent()
            ? "by " + signer.get().name() + ", key " + manifest.getKeyId()
            : "not checked (reflux.snapshots.trust is unset)");
    try (FetchedCopies copies = new FetchedCopies(access)) {
      LanguageModel model = LanguageModel.load(copies.fetch(manifest).directory());
      Set<SnapshotFile> checked = new LinkedHashSet<>();
      for (SnapshotFormat format : SnapshotFormat.offeredBy(manifest)) {
        copies.fetch(manifest, format);
        checked.addAll(format.files(manifest));
      }
      for (SnapshotFile file : manifest.getFiles()) {
        String found =
            checked.contains(file) ? file.getSha256() : "not checked: of a later build's format";
        line("file", file.getPath() + ", " + file.getSizeBytes() + " bytes, " + found);
      }
      fingerprint("weights", manifest.getStudentFingerprint(), model.fingerprint());
      fingerprint("tokenizer", manifest.getTokenizerFingerprint(), model.tokenizerFingerprint());
      fingerprint(
          "template", manifest.getChatTemplateFingerprint(), model.chatTemplateFingerprint());
    }
    line("version", manifest.getVersion() + " is whole");
  }

  private void fingerprint(String what, String expected, String found) {
    if (!expected.equals(found)) {
      throw new RefluxException(
          what + ": fingerprint " + found + " (expected: " + expected + ", of the manifest)");
    }
    line(what, found.isEmpty() ? "none, as the manifest says" : found);
  }

  private void line(String name, String text) {
    out.printf("%-10s %s%n", name, text);
    out.flush();
  }
}
