package dev.tidegate.files;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/** Tells the port to whoever started the server; renamed into place, so that a reader never sees half of it. */
final class PortFile {
  private PortFile() {}

  static void write(String file, int port) throws IOException {
    Path target = Path.of(file);
    Path written = Path.of(file + ".new");
    Files.writeString(written, Integer.toString(port));
    Files.move(written, target, StandardCopyOption.ATOMIC_MOVE);
  }
}
