package io.reflux.snapshots;

import io.reflux.schemas.avro.SnapshotFile;

/**
 * Bytes in a store.
 *
 * @param sha256 of them in lower-case hex
 * @param pieces that they are kept in
 */
record StoredObject(String sha256, long sizeBytes, int pieces, Place place) {
  /**
   * Where in the chunk topic; other stores need no more than a name.
   *
   * @param partition -1 when unknown
   * @param first offset of the first piece
   * @param last offset of the last piece
   */
  record Place(int partition, long first, long last) {
    static final Place UNKNOWN = new Place(-1, -1, -1);

    boolean isKnown() {
      return partition >= 0 && first >= 0 && last >= first;
    }
  }

  /** A file that is kept as one. */
  static StoredObject of(SnapshotFile file) {
    return new StoredObject(file.getSha256(), file.getSizeBytes(), file.getChunks(), placeOf(file));
  }

  static Place placeOf(SnapshotFile file) {
    return new Place(
        file.getChunkPartition(), file.getFirstChunkOffset(), file.getLastChunkOffset());
  }
}
