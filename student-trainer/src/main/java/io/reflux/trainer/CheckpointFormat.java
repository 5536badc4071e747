package io.reflux.trainer;

import static io.reflux.trainer.CheckpointValues.readModel;
import static io.reflux.trainer.CheckpointValues.readSequence;
import static io.reflux.trainer.CheckpointValues.readSequences;
import static io.reflux.trainer.CheckpointValues.readText;
import static io.reflux.trainer.CheckpointValues.writeModel;
import static io.reflux.trainer.CheckpointValues.writeSequence;
import static io.reflux.trainer.CheckpointValues.writeSequences;
import static io.reflux.trainer.CheckpointValues.writeText;

import io.reflux.schemas.avro.Stage;
import io.reflux.schemas.service.RefluxException;
import io.reflux.trainer.StudentState.Drift;
import io.reflux.trainer.StudentState.Good;
import io.reflux.trainer.StudentState.Guards;
import io.reflux.trainer.StudentState.Quarantined;
import io.reflux.trainer.StudentState.Ramp;
import io.reflux.trainer.StudentState.Seen;
import io.reflux.trainer.StudentState.Staging;
import io.reflux.trainer.Validation.Figures;
import io.reflux.trainer.nn.ModelState;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * A checkpoint as bytes, all big-endian. The bytes are trusted: {@link CheckpointStore} reads none
 * whose digest does not hold. Format 1 had no stages, guards or segments to go on with, and is
 * refused.
 */
final class CheckpointFormat {
  private static final int MAGIC = 0x52465843; // "RFXC"
  private static final int VERSION = 2;

  private CheckpointFormat() {}

  /** What a good state in a checkpoint is, besides its step. */
  private enum GoodModel {
    NONE,
    /** That of the checkpoint itself. */
    SAME,
    OWN
  }

  static void write(Checkpoint checkpoint, DataOutputStream out) throws IOException {
    out.writeInt(MAGIC);
    out.writeInt(VERSION);
    writeText(checkpoint.studentShape(), out);
    writeText(checkpoint.teacherFingerprint(), out);
    writeText(checkpoint.tokenizerFingerprint(), out);
    writeIntake(checkpoint.intake(), out);
    writeState(checkpoint.training(), out);
  }

  /**
   * Reads what {@link #write} wrote.
   *
   * @throws RefluxException one line, if another build's format is whole and yet of no use here
   * @throws IOException if the bytes are no checkpoint
   */
  static Checkpoint read(DataInputStream in) throws IOException {
    int magic = in.readInt();
    if (magic != MAGIC) {
      throw new IOException("magic 0x%08x (expected: 0x%08x)".formatted(magic, MAGIC));
    }
    int version = in.readInt();
    if (version != VERSION) {
      throw new RefluxException(
          "reflux.train.data-dir: checkpoint format %d (expected: %d, as this build reads; go on with the build that wrote it, or start with an empty directory)"
              .formatted(version, VERSION));
    }
    String shape = readText(in);
    String teacher = readText(in);
    String tokenizer = readText(in);
    return new Checkpoint(shape, teacher, tokenizer, readIntake(in), readState(in));
  }

  private static void writeIntake(IntakeState intake, DataOutputStream out) throws IOException {
    out.writeInt(intake.positions().size());
    for (Map.Entry<String, Position> position : new TreeMap<>(intake.positions()).entrySet()) {
      writeText(position.getKey(), out);
      out.writeLong(position.getValue().next());
      out.writeLong(position.getValue().readFrom());
    }
    out.writeInt(intake.softLabelsTaken());
    out.writeInt(intake.rolloutLabelsTaken());
    out.writeDouble(intake.promptCredit());
  }

  private static IntakeState readIntake(DataInputStream in) throws IOException {
    Map<String, Position> positions = new HashMap<>();
    int count = in.readInt();
    for (int i = 0; i < count; i++) {
      positions.put(readText(in), new Position(in.readLong(), in.readLong()));
    }
    return new IntakeState(positions, in.readInt(), in.readInt(), in.readDouble());
  }

  private static void writeState(StudentState state, DataOutputStream out) throws IOException {
    writeModel(state.model(), out);
    writeGood(state, out);
    out.writeLong(state.random());
    out.writeLong(state.step());
    out.writeLong(state.rowsTrained());
    out.writeLong(state.sequencesSeen());
    out.writeDouble(state.credit());
    out.writeDouble(state.lastKl());
    out.writeDouble(state.lastAgreement());
    writeTally(state.tally(), out);
    writeValidation(state.validation(), out);
    writeStaging(state.staging(), out);
    writeLongs(state.versions(), out);
    out.writeLong(state.ramp().start());
    out.writeDouble(state.ramp().from());
    out.writeLong(state.drift().seen());
    out.writeDouble(state.drift().mean());
    out.writeDouble(state.drift().variance());
    out.writeDouble(state.drift().rows());
    out.writeDouble(state.drift().sum());
    writeGuards(state.guards(), out);
    writeReplay(state.replay(), out);
    writeSequences(state.rollouts(), out);
    writeQuarantine(state.quarantine(), out);
    writeSequences(state.heldOut(), out);
  }

  private static StudentState readState(DataInputStream in) throws IOException {
    ModelState model = readModel(in);
    return new StudentState(
        model,
        readGood(model, in),
        in.readLong(),
        in.readLong(),
        in.readLong(),
        in.readLong(),
        in.readDouble(),
        in.readDouble(),
        in.readDouble(),
        readTally(in),
        readValidation(in),
        readStaging(in),
        readLongs(in),
        new Ramp(in.readLong(), in.readDouble()),
        new Drift(
            in.readLong(), in.readDouble(), in.readDouble(), in.readDouble(), in.readDouble()),
        readGuards(in),
        readReplay(in),
        readSequences(in),
        readQuarantine(in),
        readSequences(in));
  }

  private static void writeGood(StudentState state, DataOutputStream out) throws IOException {
    if (state.good().isEmpty()) {
      out.writeByte(GoodModel.NONE.ordinal());
      return;
    }
    Good good = state.good().get();
    boolean same = good.model() == state.model();
    out.writeByte((same ? GoodModel.SAME : GoodModel.OWN).ordinal());
    out.writeLong(good.step());
    if (!same) {
      writeModel(good.model(), out);
    }
  }

  private static Optional<Good> readGood(ModelState model, DataInputStream in) throws IOException {
    GoodModel kind = GoodModel.values()[in.readByte()];
    if (kind == GoodModel.NONE) {
      return Optional.empty();
    }
    long step = in.readLong();
    return Optional.of(new Good(step, kind == GoodModel.SAME ? model : readModel(in)));
  }

  private static void writeTally(Tally tally, DataOutputStream out) throws IOException {
    out.writeLong(tally.notFinite());
    out.writeLong(tally.spikes());
    out.writeLong(tally.rewinds());
    out.writeLong(tally.rewarms());
    out.writeLong(tally.droppedStale());
    out.writeLong(tally.weightedStale());
    out.writeLong(tally.quarantined());
    out.writeLong(tally.released());
  }

  private static Tally readTally(DataInputStream in) throws IOException {
    return new Tally(
        in.readLong(),
        in.readLong(),
        in.readLong(),
        in.readLong(),
        in.readLong(),
        in.readLong(),
        in.readLong(),
        in.readLong());
  }

  private static void writeValidation(Optional<Validation> validation, DataOutputStream out)
      throws IOException {
    out.writeBoolean(validation.isPresent());
    if (validation.isPresent()) {
      out.writeLong(validation.get().step());
      writeFigures(validation.get().overall(), out);
      out.writeInt(validation.get().bySegment().size());
      for (Map.Entry<String, Figures> segment : validation.get().bySegment().entrySet()) {
        writeText(segment.getKey(), out);
        writeFigures(segment.getValue(), out);
      }
    }
  }

  private static Optional<Validation> readValidation(DataInputStream in) throws IOException {
    if (!in.readBoolean()) {
      return Optional.empty();
    }
    long step = in.readLong();
    Figures overall = readFigures(in);
    SortedMap<String, Figures> segments = new TreeMap<>();
    for (int left = in.readInt(); left > 0; left--) {
      segments.put(readText(in), readFigures(in));
    }
    return Optional.of(new Validation(step, overall, segments));
  }

  private static void writeFigures(Figures figures, DataOutputStream out) throws IOException {
    out.writeLong(figures.rows());
    out.writeDouble(figures.agreement());
    out.writeDouble(figures.kl());
  }

  private static Figures readFigures(DataInputStream in) throws IOException {
    return new Figures(in.readLong(), in.readDouble(), in.readDouble());
  }

  private static void writeStaging(Staging staging, DataOutputStream out) throws IOException {
    writeText(staging.stage().name(), out);
    out.writeLong(staging.since());
    out.writeDouble(staging.bestKl());
    out.writeInt(staging.withoutImprovement());
    out.writeBoolean(staging.enough());
  }

  private static Staging readStaging(DataInputStream in) throws IOException {
    return new Staging(
        Stage.valueOf(readText(in)),
        in.readLong(),
        in.readDouble(),
        in.readInt(),
        in.readBoolean());
  }

  private static void writeGuards(Guards guards, DataOutputStream out) throws IOException {
    out.writeInt(guards.latest().size());
    for (Map.Entry<String, List<Seen>> origin : guards.latest().entrySet()) {
      writeText(origin.getKey(), out);
      out.writeInt(origin.getValue().size());
      for (Seen seen : origin.getValue()) {
        out.writeDouble(seen.loss());
        out.writeLong(seen.rows());
      }
    }
    writeLongs(guards.strikes(), out);
  }

  private static Guards readGuards(DataInputStream in) throws IOException {
    SortedMap<String, List<Seen>> latest = new TreeMap<>();
    for (int left = in.readInt(); left > 0; left--) {
      String origin = readText(in);
      List<Seen> seen = new ArrayList<>();
      for (int steps = in.readInt(); steps > 0; steps--) {
        seen.add(new Seen(in.readDouble(), in.readLong()));
      }
      latest.put(origin, seen);
    }
    return new Guards(latest, readLongs(in));
  }

  private static void writeReplay(ReplayState replay, DataOutputStream out) throws IOException {
    writeSequences(replay.fresh(), out);
    writeSequences(replay.recent(), out);
    out.writeInt(replay.sample().size());
    for (ReplayState.Sampled sampled : replay.sample()) {
      out.writeDouble(sampled.priority());
      writeSequence(sampled.sequence(), out);
    }
  }

  private static ReplayState readReplay(DataInputStream in) throws IOException {
    List<LabelledSequence> fresh = readSequences(in);
    List<LabelledSequence> recent = readSequences(in);
    List<ReplayState.Sampled> sample = new ArrayList<>();
    for (int left = in.readInt(); left > 0; left--) {
      sample.add(new ReplayState.Sampled(in.readDouble(), readSequence(in)));
    }
    return new ReplayState(fresh, recent, sample);
  }

  private static void writeQuarantine(List<Quarantined> quarantine, DataOutputStream out)
      throws IOException {
    out.writeInt(quarantine.size());
    for (Quarantined quarantined : quarantine) {
      writeSequence(quarantined.sequence(), out);
      out.writeDouble(quarantined.loss());
    }
  }

  private static List<Quarantined> readQuarantine(DataInputStream in) throws IOException {
    List<Quarantined> quarantine = new ArrayList<>();
    for (int left = in.readInt(); left > 0; left--) {
      quarantine.add(new Quarantined(readSequence(in), in.readDouble()));
    }
    return quarantine;
  }

  private static void writeLongs(List<Long> values, DataOutputStream out) throws IOException {
    out.writeInt(values.size());
    for (long value : values) {
      out.writeLong(value);
    }
  }

  private static List<Long> readLongs(DataInputStream in) throws IOException {
    List<Long> values = new ArrayList<>();
    for (int left = in.readInt(); left > 0; left--) {
      values.add(in.readLong());
    }
    return values;
  }
}
