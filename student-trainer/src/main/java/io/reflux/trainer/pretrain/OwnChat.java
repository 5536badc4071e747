package io.reflux.trainer.pretrain;

import io.reflux.model.tokenizer.BpeVocabulary;
import java.util.List;
import java.util.Optional;

/** The chat format of models that are made here: one special token a role, one that ends a turn. */
final class OwnChat {
  static final String END = "<|end|>";

  static final List<String> SPECIAL_TOKENS =
      List.of("<|pad|>", END, "<|system|>", "<|user|>", "<|assistant|>");

  private static final String TEMPLATE =
      "{% for message in messages %}{{ '<|' + message.role + '|>' + message.content + '"
          + END
          + "' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";

  static final BpeVocabulary.Roles ROLES =
      new BpeVocabulary.Roles(Optional.empty(), Optional.of(END), Optional.of(TEMPLATE));

  private OwnChat() {}
}
