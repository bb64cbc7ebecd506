package dev.tidegate.files;

import alluxio.exception.FileAlreadyExistsException;
import alluxio.exception.FileDoesNotExistException;
import java.util.NoSuchElementException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeoutException;

/** An exception as an HTTP status, a word to compare and a sentence to read. */
final class Failure {
  final int status;
  final String word;
  final String message;

  private Failure(int status, String word, String message) {
    this.status = status;
    this.word = word;
    this.message = message;
  }

  static Failure of(Throwable thrown) {
    Throwable e = thrown instanceof ExecutionException && thrown.getCause() != null ? thrown.getCause() : thrown;
    String message = e.getClass().getSimpleName() + ": " + e.getMessage();
    if (e instanceof IllegalArgumentException) {
      return new Failure(400, "bad-request", message);
    }
    if (e instanceof NoSuchElementException || e instanceof FileDoesNotExistException) {
      return new Failure(404, "not-found", message);
    }
    if (e instanceof FileAlreadyExistsException) {
      return new Failure(409, "already-exists", message);
    }
    if (e instanceof TimeoutException) {
      return new Failure(504, "timeout", e.getMessage());
    }
    return new Failure(502, "alluxio", message);
  }
}
