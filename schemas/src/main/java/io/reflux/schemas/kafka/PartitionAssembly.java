package io.reflux.schemas.kafka;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.UUID;
import java.util.zip.CRC32C;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;

/**
 * What one partition's reader remembers: how far it got, and the records whose pieces have not all
 * come.
 *
 * <p>While groups are open, the offset that is safe to commit lies before their first pieces, and
 * so before records already handed out. The commit's metadata says which those are, so that whoever
 * goes on from there hands none out twice.
 */
final class PartitionAssembly {
  /** More writers than this never stand in one partition with a record half written. */
  static final int MAX_OPEN_GROUPS = 64;

  private static final int MAX_DROPPED = 256;
  private static final String METADATA_TAG = "reflux1";

  /** Pieces of a record, of which some are missing. */
  static final class Group {
    private final ConsumerRecord<String, byte[]> first;
    private final Chunk header;
    private final Map<Integer, byte[]> pieces = new TreeMap<>();
    private long bytes;
    private Duration waited = Duration.ZERO;

    private Group(ConsumerRecord<String, byte[]> first, Chunk header) {
      this.first = first;
      this.header = header;
    }

    ConsumerRecord<String, byte[]> first() {
      return first;
    }

    long bytes() {
      return bytes;
    }

    Duration waited() {
      return waited;
    }

    /** Pieces so far, of how many. */
    String progress() {
      return pieces.size()
          + " of "
          + header.count()
          + " pieces, "
          + bytes
          + " of "
          + header.totalBytes()
          + " bytes";
    }

    boolean agreesWith(Chunk other) {
      return header.count() == other.count()
          && header.totalBytes() == other.totalBytes()
          && header.crc32c() == other.crc32c();
    }

    /** Takes a piece in; the same one again changes nothing. */
    void add(int index, byte[] piece) {
      if (pieces.putIfAbsent(index, piece) == null) {
        bytes += piece.length;
        waited = Duration.ZERO;
      }
    }

    boolean holds(int index) {
      return pieces.containsKey(index);
    }

    void waitMore(Duration time) {
      waited = waited.plus(time);
    }

    boolean isComplete() {
      return pieces.size() == header.count();
    }

    /** The pieces in order, whole or not. */
    byte[] concatenated() {
      byte[] whole = new byte[Math.toIntExact(bytes)];
      int at = 0;
      for (byte[] piece : pieces.values()) {
        System.arraycopy(piece, 0, whole, at, piece.length);
        at += piece.length;
      }
      return whole;
    }

    boolean isSound(byte[] whole) {
      CRC32C crc = new CRC32C();
      crc.update(whole);
      return whole.length == header.totalBytes() && (int) crc.getValue() == header.crc32c();
    }
  }

  private final Map<UUID, Group> open = new LinkedHashMap<>();
  private final Set<UUID> dropped =
      java.util.Collections.newSetFromMap(
          new LinkedHashMap<>() {
            private static final long serialVersionUID = 1L;

            @Override
            protected boolean removeEldestEntry(Map.Entry<UUID, Boolean> eldest) {
              return size() > MAX_DROPPED;
            }
          });

  private final OffsetAndMetadata resumedFrom;
  private final long handedOutBelow;
  private final Set<UUID> openBefore;
  private long next;

  private PartitionAssembly(
      long start, OffsetAndMetadata resumedFrom, long handedOutBelow, Set<UUID> openBefore) {
    this.next = start;
    this.resumedFrom = resumedFrom;
    this.handedOutBelow = handedOutBelow;
    this.openBefore = openBefore;
  }

  /**
   * Starts at an offset.
   *
   * @param committed the group's commit for the partition, or null
   */
  static PartitionAssembly from(long start, OffsetAndMetadata committed) {
    PartitionAssembly fresh = new PartitionAssembly(start, null, start, Set.of());
    // Whoever seeks back beyond the commit wants the records again.
    if (committed == null || start < committed.offset()) {
      return fresh;
    }
    String[] parts = committed.metadata().split(":", -1);
    if (parts.length != 3 || !parts[0].equals(METADATA_TAG)) {
      return fresh;
    }
    try {
      Set<UUID> groups = new java.util.HashSet<>();
      for (String group : parts[2].split(",", -1)) {
        groups.add(UUID.fromString(group));
      }
      return new PartitionAssembly(start, committed, Long.parseLong(parts[1]), groups);
    } catch (IllegalArgumentException e) {
      // Not ours, whatever it looks like.
      return fresh;
    }
  }

  /** Offset after the last record taken in. */
  long next() {
    return next;
  }

  void advanceTo(long offset) {
    next = Math.max(next, offset);
  }

  /** Whether a record was handed out before the last restart. */
  boolean isHandedOut(long offset, Chunk chunk) {
    return offset < handedOutBelow && (chunk == null || !openBefore.contains(chunk.group()));
  }

  Map<UUID, Group> open() {
    return open;
  }

  Group openGroup(ConsumerRecord<String, byte[]> first, Chunk header) {
    Group group = new Group(first, header);
    open.put(header.group(), group);
    return group;
  }

  void close(UUID group) {
    open.remove(group);
  }

  /** Gives a group up: its later pieces are passed over. */
  void drop(UUID group) {
    open.remove(group);
    dropped.add(group);
  }

  boolean isDropped(UUID group) {
    return dropped.contains(group);
  }

  List<UUID> waitingLongerThan(Duration limit) {
    List<UUID> late = new ArrayList<>();
    open.forEach(
        (id, group) -> {
          if (group.waited().compareTo(limit) > 0) {
            late.add(id);
          }
        });
    return late;
  }

  /**
   * What may be committed.
   *
   * @param end where to go on when no group is open, at least {@link #next}
   */
  OffsetAndMetadata safePosition(long end) {
    if (resumedFrom != null && next < handedOutBelow) {
      return resumedFrom;
    }
    if (open.isEmpty()) {
      return new OffsetAndMetadata(end);
    }
    long first = open.values().stream().mapToLong(g -> g.first().offset()).min().getAsLong();
    String groups = String.join(",", open.keySet().stream().map(UUID::toString).toList());
    return new OffsetAndMetadata(first, METADATA_TAG + ":" + next + ":" + groups);
  }

  @Override
  public String toString() {
    return "next " + next + ", open " + Arrays.toString(open.keySet().toArray());
  }
}
