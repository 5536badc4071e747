package io.reflux.serving.openai;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.linecorp.armeria.common.HttpStatus;
import java.time.Duration;
import org.junit.jupiter.api.Test;

class AdmissionTest {
  private final Admission admission = new Admission(2, 3);

  @Test
  void whatDoesNotFitIsTurnedAwayWithATimeToComeBack() {
    admission.enter(1);
    admission.leave(1, Duration.ofSeconds(4));
    admission.enter(5);
    assertThatThrownBy(() -> admission.enter(1))
        .isInstanceOfSatisfying(
            ApiException.class,
            e -> {
              assertThat(e.status()).isEqualTo(HttpStatus.TOO_MANY_REQUESTS);
              // Three wait for two slots, four seconds each.
              assertThat(e.retryAfterSeconds()).isEqualTo(6);
            });
    admission.leave(5, Duration.ofSeconds(4));
    admission.enter(1);
    assertThat(admission.inFlight()).isEqualTo(1);
  }

  @Test
  void requestThatNeverFitsIsRefusedForGood() {
    assertThatThrownBy(() -> admission.enter(6))
        .isInstanceOfSatisfying(
            ApiException.class, e -> assertThat(e.status()).isEqualTo(HttpStatus.BAD_REQUEST));
  }

  @Test
  void drainLetsNobodyInAndTellsWhenSomebodyStays() throws InterruptedException {
    admission.enter(1);
    assertThat(admission.drain(Duration.ZERO)).isFalse();
    assertThatThrownBy(() -> admission.enter(1))
        .isInstanceOfSatisfying(
            ApiException.class,
            e -> assertThat(e.status()).isEqualTo(HttpStatus.SERVICE_UNAVAILABLE));
    admission.leave(1, Duration.ZERO);
    assertThat(admission.drain(Duration.ZERO)).isTrue();
  }
}
