package io.reflux.trainer.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.model.ModelException;
import io.reflux.trainer.nn.Objective.ForwardKl;
import io.reflux.trainer.nn.Objective.GeneralisedJsd;
import io.reflux.trainer.nn.Objective.ReverseKl;
import io.reflux.trainer.nn.Objective.Term;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ObjectiveTest {
  @ParameterizedTest
  @ValueSource(
      strings = {
        "forward-kl",
        "reverse-kl",
        "jsd:0.5",
        "skewed-kl:0.1",
        "skewed-reverse-kl:0.1",
        "sampled-reverse-kl",
        "0.7*forward-kl+0.3*reverse-kl",
        "0.5*jsd:0.25+0.25*skewed-kl:0.1+0.25*sampled-reverse-kl"
      })
  void whatItWritesItReads(String text) {
    Objective objective = Objective.parse(text, 0.1);
    assertThat(objective.toString()).isEqualTo(text);
    assertThat(Objective.parse(objective.toString(), 0.1)).isEqualTo(objective);
    assertThat(objective.crossEntropyShare()).isEqualTo(0.1);
  }

  @Test
  void readsWhatAPersonWrites() {
    assertThat(Objective.parse(" 0.7 * forward-kl + .3 * JSD:1e-1 ", 0).terms())
        .isEqualTo(List.of(new Term(0.7, new ForwardKl()), new Term(0.3, new GeneralisedJsd(0.1))));
    assertThat(Objective.parse("cross-entropy", 0.1)).isEqualTo(Objective.CROSS_ENTROPY);
    assertThat(Objective.CROSS_ENTROPY.toString()).isEqualTo("cross-entropy");
    assertThat(Objective.of(0, new ReverseKl())).isEqualTo(Objective.parse("reverse-kl", 0));
  }

  @ParameterizedTest
  @CsvSource({
    "forward, \"forward\"",
    "'', \"\"",
    "forward-kl:0.5, \"forward-kl:0.5\"",
    "jsd, \"jsd\"",
    "jsd:half, \"jsd:half\"",
    "jsd:1.5, expected: beta from 0 to 1",
    "jsd:NaN, expected: beta from 0 to 1",
    "skewed-kl:1, expected: alpha from 0 to below 1",
    "skewed-reverse-kl:-0.1, expected: alpha from 0 to below 1",
    "0.5*forward-kl+0.4*reverse-kl, weights sum to 0.9",
    "forward-kl+reverse-kl, weights sum to 2.0",
    "0*forward-kl+1*reverse-kl, weight 0.0",
    "x*forward-kl, \"x*forward-kl\"",
    "0.5*forward-kl+, \"0.5*forward-kl+\"",
    "1*cross-entropy, \"1*cross-entropy\""
  })
  void mistakesAreNamedInOneLine(String text, String told) {
    assertThatThrownBy(() -> Objective.parse(text, 0.1))
        .isInstanceOf(ModelException.class)
        .hasMessageStartingWith("objective: ")
        .hasMessageContaining(told)
        .message()
        .doesNotContain("\n");
  }

  @ParameterizedTest
  @ValueSource(doubles = {-0.1, 1.1, Double.NaN})
  void refusesSharesThatAreNone(double share) {
    assertThatThrownBy(() -> Objective.parse("forward-kl", share))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("cross-entropy share: " + share);
  }
}
