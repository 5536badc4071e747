package io.reflux.trainer;

import io.reflux.trainer.StudentState.Good;
import io.reflux.trainer.nn.ModelState;
import io.reflux.trainer.nn.Trainable;
import java.util.Optional;

/** The student that one which has gone wrong goes back to. */
final class GoodStudent {
  private final Trainable model;
  private final Lessons lessons;
  private Optional<Good> good = Optional.empty();
  private boolean changedSince = true;

  GoodStudent(Trainable model, Lessons lessons) {
    this.model = model;
    this.lessons = lessons;
  }

  /**
   * A student that was gone back to.
   *
   * @param step that it was after
   * @param kl its held-out KL, nats
   * @param klBefore the other's
   */
  record Return(long step, double kl, double klBefore) {}

  /** The student as it is is good. */
  void keep(long step) {
    good = Optional.of(new Good(step, model.state()));
    changedSince = false;
  }

  /** The student has learned something. */
  void learned() {
    changedSince = true;
  }

  /**
   * Goes back, if the student has become worse since. If it has not, what it is given is at fault,
   * and the bounds will tell.
   *
   * @return empty if the student is as it was
   */
  Optional<Return> goBack(LatestSequences heldOut) {
    if (good.isEmpty() || heldOut.size() == 0) {
      return Optional.empty();
    }
    ModelState now = model.state();
    double klNow = lessons.measure(heldOut).meanKl();
    model.restore(good.get().model());
    double klGood = lessons.measure(heldOut).meanKl();
    if (StepGuard.isNotWorse(klNow, klGood)) {
      model.restore(now);
      return Optional.empty();
    }
    changedSince = false;
    return Optional.of(new Return(good.get().step(), klGood, klNow));
  }

  /**
   * @param now the state of the model; one copy is enough while nothing was learned since
   */
  Optional<Good> state(ModelState now) {
    return changedSince ? good : good.map(kept -> new Good(kept.step(), now));
  }

  void restore(Optional<Good> state, ModelState now) {
    good = state;
    changedSince = state.isEmpty() || state.get().model() != now;
  }
}
