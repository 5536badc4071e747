package io.reflux.trainer.nn;

import ai.djl.ndarray.NDArray;
import java.util.List;

/** Where the optimizer's tensors are between updates. */
interface SliceStore extends AutoCloseable {
  /**
   * Room for a slice that is to be written anew.
   *
   * @return the tensors, for this slice alone and until the next call; not to be closed
   */
  List<NDArray> room(Slice slice);

  /**
   * Brings a slice in.
   *
   * @return the tensors, for this slice alone and until the next call; not to be closed
   * @throws io.reflux.model.ModelException if what was stored is lost
   */
  List<NDArray> load(Slice slice);

  /** Where a slice begins in its tensors. */
  int at(Slice slice);

  /**
   * Keeps what the tensors that were last handed out were changed to.
   *
   * @throws io.reflux.model.ModelException if there is no room for it
   */
  void store(Slice slice);

  @Override
  void close();
}
