package io.reflux.schemas.service;

import java.net.InetAddress;
import java.net.UnknownHostException;

/** This machine's name, as others tell its reports apart by. */
public final class HostName {
  private HostName() {}

  /** {@code localhost} where it has no other. */
  public static String get() {
    try {
      return InetAddress.getLocalHost().getHostName();
    } catch (UnknownHostException e) {
      return "localhost";
    }
  }
}
