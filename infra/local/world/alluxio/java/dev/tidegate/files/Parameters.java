package dev.tidegate.files;

import alluxio.AlluxioURI;
import alluxio.grpc.WritePType;
import java.net.URI;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/** The query parameters of a request, with the defaults that the routes share. */
final class Parameters {
  private final Map<String, String> values = new HashMap<>();

  static Parameters of(URI uri) {
    Parameters parameters = new Parameters();
    String query = uri.getRawQuery();
    if (query != null) {
      for (String pair : query.split("&")) {
        int equals = pair.indexOf('=');
        if (equals > 0) {
          parameters.values.put(
              pair.substring(0, equals),
              URLDecoder.decode(pair.substring(equals + 1), StandardCharsets.UTF_8));
        }
      }
    }
    return parameters;
  }

  String text(String name, String otherwise) {
    String value = values.get(name);
    return value == null || value.isEmpty() ? otherwise : value;
  }

  String required(String name) {
    String value = text(name, null);
    if (value == null) {
      throw new IllegalArgumentException("parameter " + name + " is missing");
    }
    return value;
  }

  long number(String name, long otherwise) {
    return Long.parseLong(text(name, Long.toString(otherwise)));
  }

  AlluxioURI path() {
    return new AlluxioURI(required("path"));
  }

  /** The Alluxio user that acts; the default is the one that runs Alluxio and so may do everything. */
  String user() {
    return text("user", "alluxio");
  }

  /** The host of the worker that must take the blocks, or empty for the client's own choice. */
  String worker() {
    return text("worker", "");
  }

  WritePType writeType() {
    return WritePType.valueOf(text("writeType", "MUST_CACHE"));
  }
}
