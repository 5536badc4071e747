package io.reflux.model.chat;

import io.reflux.model.chat.Values.Callable;
import io.reflux.model.chat.Values.Undefined;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The {@code loop} of a for block. */
final class Loops {
  private Loops() {}

  static Map<String, Object> variables(List<Object> items, int index) {
    int size = items.size();
    Map<String, Object> loop = new HashMap<>();
    loop.put("index", index + 1L);
    loop.put("index0", (long) index);
    loop.put("revindex", (long) size - index);
    loop.put("revindex0", size - index - 1L);
    loop.put("first", index == 0);
    loop.put("last", index == size - 1);
    loop.put("length", (long) size);
    loop.put("depth", 1L);
    loop.put("depth0", 0L);
    loop.put("previtem", index > 0 ? items.get(index - 1) : new Undefined("previtem"));
    loop.put("nextitem", index < size - 1 ? items.get(index + 1) : new Undefined("nextitem"));
    Callable cycle =
        arguments -> {
          if (arguments.positional().isEmpty()) {
            throw Values.error("loop.cycle: no values (expected: at least one)");
          }
          return arguments.positional().get(index % arguments.positional().size());
        };
    loop.put("cycle", cycle);
    return loop;
  }
}
