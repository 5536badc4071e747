package io.reflux.snapshots;

import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.snapshots.SnapshotException.Kind;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/**
 * Where signatures are asked for: of those signed by a believed key, the one that moved last
 * counts. Whoever moves a channel gives each move a later time than the one before, so a record
 * that somebody sends again, though its signature is good, is known by its time.
 *
 * <p>Signatures are checked from the newest record back, and only until one holds: a topic that was
 * not compacted for long has many moves, and a check costs more than the reading.
 */
final class SignedPointerFold implements PointerFold {
  private final SnapshotAccess access;
  private final String channel;
  private final List<Held> pending = new ArrayList<>();
  private SnapshotPointer current;
  private SnapshotException unreadable;
  private SnapshotException replayed;

  /** A record, or why it is none. */
  private record Held(String where, SnapshotPointer pointer, SnapshotException problem) {}

  SignedPointerFold(SnapshotAccess access, String channel) {
    this.access = access;
    this.channel = channel;
  }

  @Override
  public void add(ConsumerRecord<String, byte[]> record) {
    if (!channel.equals(record.key()) || record.value() == null) {
      return;
    }
    String where = SnapshotCatalog.coordinates(record);
    try {
      pending.add(new Held(where, PointerFold.read(access.clients(), channel, record), null));
    } catch (SnapshotException e) {
      pending.add(new Held(where, null, e));
    }
  }

  @Override
  public Optional<SnapshotPointer> last() {
    settle();
    return Optional.ofNullable(current);
  }

  @Override
  public Optional<SnapshotException> unreadable() {
    settle();
    return Optional.ofNullable(unreadable);
  }

  @Override
  public Optional<SnapshotException> replayed() {
    settle();
    return Optional.ofNullable(replayed);
  }

  private void settle() {
    SnapshotException bad = null;
    SnapshotException old = null;
    SnapshotPointer found = null;
    for (int i = pending.size() - 1; i >= 0 && found == null; i--) {
      Held held = pending.get(i);
      Optional<SnapshotException> problem = problem(held);
      if (problem.isPresent()) {
        bad = bad == null ? problem.get() : bad;
        continue;
      }
      Optional<SnapshotPointer> later = laterBefore(i, held.pointer());
      if (later.isPresent()) {
        old = old == null ? backwards(held, later.get()) : old;
      } else {
        found = held.pointer();
      }
    }
    pending.clear();
    if (found != null) {
      current = found;
      unreadable = null;
      replayed = null;
    }
    unreadable = bad == null ? unreadable : bad;
    replayed = old == null ? replayed : old;
  }

  private Optional<SnapshotException> problem(Held held) {
    if (held.problem() != null) {
      return Optional.of(held.problem());
    }
    try {
      access.verify(held.pointer());
      return Optional.empty();
    } catch (SnapshotException e) {
      return Optional.of(
          new SnapshotException(e.kind(), e.getMessage() + ", at " + held.where(), e));
    }
  }

  /** A believed one that came before and moved after. */
  private Optional<SnapshotPointer> laterBefore(int index, SnapshotPointer pointer) {
    if (current != null && current.getMovedAt().isAfter(pointer.getMovedAt())) {
      return Optional.of(current);
    }
    return pending.subList(0, index).stream()
        .filter(held -> held.problem() == null)
        .filter(held -> held.pointer().getMovedAt().isAfter(pointer.getMovedAt()))
        .filter(held -> problem(held).isEmpty())
        .map(Held::pointer)
        .findFirst();
  }

  private SnapshotException backwards(Held held, SnapshotPointer later) {
    return new SnapshotException(
        Kind.BACKWARDS,
        "pointer of channel "
            + channel
            + " at "
            + held.where()
            + ": to version "
            + held.pointer().getVersion()
            + ", moved at "
            + held.pointer().getMovedAt()
            + " (expected: after "
            + later.getMovedAt()
            + ", when it moved to version "
            + later.getVersion()
            + "; an old record was sent again)");
  }
}
