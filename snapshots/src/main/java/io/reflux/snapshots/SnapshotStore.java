package io.reflux.snapshots;

import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Where the bytes of snapshots are: objects that are named by the SHA-256 of their content, and so
 * never change. Manifests and pointers are not among them; they always go over Kafka.
 *
 * <p>Safe for use by several threads.
 */
interface SnapshotStore extends AutoCloseable {
  /** What manifests call it. */
  String kind();

  /** How many pieces an object of this size is kept in; none for an empty one. */
  int pieces(long sizeBytes);

  /** Whether an object is there, whole. */
  boolean holds(StoredObject object);

  /**
   * Keeps objects. They are durable when this returns; of an interrupted attempt nothing can be
   * taken for an object.
   *
   * @return where all of them are
   * @throws SnapshotException if a source's bytes are not those that its name says, or the store
   *     fails
   */
  StoredObject.Place put(List<Content> contents);

  /**
   * Brings objects to the local disk, each with the bytes that its name says.
   *
   * @param wanted no two of the same object; no target exists
   * @throws SnapshotException naming the object, if one is missing or its bytes are others
   */
  void get(List<Wanted> wanted);

  /** Every object, with the time at which it was last put. */
  Map<String, Instant> list();

  /** Objects that are not there are passed over. */
  void delete(Set<String> sha256s);

  @Override
  void close();

  /**
   * Bytes to keep.
   *
   * @param sha256 in lower-case hex
   */
  record Content(String sha256, long sizeBytes, Path source) {}

  /**
   * Bytes to bring.
   *
   * @param name of what they are, for messages
   */
  record Wanted(String name, StoredObject object, Path target) {}
}
