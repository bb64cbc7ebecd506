package dev.tidegate.files;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.SplittableRandom;

/** File content that depends on a seed only, its checksum, and how many bytes there were. */
final class Content {
  private static final int BUFFER_BYTES = 64 * 1024;

  private final MessageDigest digest;
  private long bytes;

  Content() {
    try {
      digest = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }

  void writeTo(OutputStream out, long seed, long count) throws IOException {
    SplittableRandom random = new SplittableRandom(seed);
    byte[] buffer = new byte[(int) Math.min(BUFFER_BYTES, Math.max(count, 1))];
    for (long left = count; left > 0; ) {
      random.nextBytes(buffer);
      int length = (int) Math.min(left, buffer.length);
      out.write(buffer, 0, length);
      add(buffer, length);
      left -= length;
    }
  }

  /** Reads at most {@code limit} bytes; returns how many there were. */
  long readFrom(InputStream in, long limit) throws IOException {
    byte[] buffer = new byte[BUFFER_BYTES];
    long seen = 0;
    while (seen < limit) {
      int length = in.read(buffer, 0, (int) Math.min(buffer.length, limit - seen));
      if (length < 0) {
        break;
      }
      add(buffer, length);
      seen += length;
    }
    return seen;
  }

  private void add(byte[] buffer, int length) {
    digest.update(buffer, 0, length);
    bytes += length;
  }

  long bytes() {
    return bytes;
  }

  String sha256() {
    StringBuilder text = new StringBuilder();
    for (byte b : digest.digest()) {
      text.append(String.format("%02x", b));
    }
    return text.toString();
  }
}
