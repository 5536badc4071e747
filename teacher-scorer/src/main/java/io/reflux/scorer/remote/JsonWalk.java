package io.reflux.scorer.remote;

import com.fasterxml.jackson.core.JsonParseException;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.util.Arrays;

/**
 * Steps through JSON without building it: an answer of 8,000 tokens with 50 log-probs each is some
 * 25 MB of text.
 */
final class JsonWalk {
  private static final int[] NONE = {};

  private JsonWalk() {}

  /** Reads the value of a field, which the parser stands on, whole. */
  interface Field {
    void read(String name) throws IOException;
  }

  /** Reads an element, which the parser stands on, whole. */
  interface Element {
    void read(int index) throws IOException;
  }

  /** The object that the parser stands on; each value must be read whole or skipped. */
  static void object(JsonParser json, String what, Field field) throws IOException {
    expect(json, JsonToken.START_OBJECT, what, "an object");
    while (next(json) != JsonToken.END_OBJECT) {
      String name = json.currentName();
      next(json);
      field.read(name);
    }
  }

  /** The array that the parser stands on; each value must be read whole or skipped. */
  static int array(JsonParser json, String what, Element element) throws IOException {
    expect(json, JsonToken.START_ARRAY, what, "an array");
    int index = 0;
    while (next(json) != JsonToken.END_ARRAY) {
      element.read(index++);
    }
    return index;
  }

  /** An array of token ids; empty for null. */
  static int[] ids(JsonParser json, String what) throws IOException {
    if (json.currentToken() == JsonToken.VALUE_NULL) {
      return NONE;
    }
    int[][] ids = {new int[16]};
    int count =
        array(
            json,
            what,
            index -> {
              if (index == ids[0].length) {
                ids[0] = Arrays.copyOf(ids[0], 2 * index);
              }
              ids[0][index] = id(json, what);
            });
    return Arrays.copyOf(ids[0], count);
  }

  static int id(JsonParser json, String what) throws IOException {
    expect(json, JsonToken.VALUE_NUMBER_INT, what, "a token id");
    long value = json.getNumberType() == JsonParser.NumberType.INT ? json.getIntValue() : -1;
    if (value < 0) {
      throw ServerFault.wrong(what + ": " + json.getText() + " (expected: a token id)");
    }
    return (int) value;
  }

  /** A number, NaN and the infinities included. */
  static double number(JsonParser json, String what) throws IOException {
    if (!json.currentToken().isNumeric()) {
      throw ServerFault.wrong(
          what + ": " + TeacherHttp.oneLine(json.getText()) + " (expected: a number)");
    }
    return json.getDoubleValue();
  }

  /** A text, or "" for null. */
  static String text(JsonParser json, String what) throws IOException {
    if (json.currentToken() == JsonToken.VALUE_NULL) {
      return "";
    }
    expect(json, JsonToken.VALUE_STRING, what, "a text");
    return json.getText();
  }

  /** The next token, where there must be one. */
  static JsonToken next(JsonParser json) throws IOException {
    JsonToken token = json.nextToken();
    if (token == null) {
      throw new JsonParseException(json, "ends early");
    }
    return token;
  }

  /** The "message" of an error's body, at the top or within "error"; "" where there is none. */
  static String message(JsonParser json) throws IOException {
    String[] found = {""};
    next(json);
    object(
        json,
        "error",
        name -> {
          if (name.equals("error") && json.currentToken() == JsonToken.START_OBJECT) {
            object(json, "error", inner -> keepMessage(json, inner, found));
          } else {
            keepMessage(json, name, found);
          }
        });
    return found[0];
  }

  private static void keepMessage(JsonParser json, String name, String[] found) throws IOException {
    boolean says = name.equals("message") || name.equals("detail") || name.equals("error");
    if (says && json.currentToken() == JsonToken.VALUE_STRING && found[0].isEmpty()) {
      found[0] = json.getText();
    } else {
      json.skipChildren();
    }
  }

  static void expect(JsonParser json, JsonToken token, String what, String expected)
      throws IOException {
    if (json.currentToken() != token) {
      throw ServerFault.wrong(
          what
              + ": "
              + (json.currentToken().isStructStart()
                  ? json.currentToken().asString()
                  : TeacherHttp.oneLine(json.getText()))
              + " (expected: "
              + expected
              + ")");
    }
  }
}
