# Nobody has run this formula on a Mac yet: only its Ruby is checked. packaging/build.sh
# fills in the version and the sums, and puts it into dist/.
class Rondo < Formula
  desc "Runs a server as several workers behind sockets of the init system"
  homepage "https://github.com/rondokit/rondo"
  version "@VERSION@"
  license "Apache-2.0"

  on_macos do
    on_arm do
      url "https://github.com/rondokit/rondo/releases/download/v@VERSION@/rondo-@VERSION@-darwin-arm64.tar.gz"
      sha256 "@SUM-darwin-arm64@"
    end
    on_intel do
      url "https://github.com/rondokit/rondo/releases/download/v@VERSION@/rondo-@VERSION@-darwin-amd64.tar.gz"
      sha256 "@SUM-darwin-amd64@"
    end
  end

  on_linux do
    on_arm do
      url "https://github.com/rondokit/rondo/releases/download/v@VERSION@/rondo-@VERSION@-linux-arm64.tar.gz"
      sha256 "@SUM-linux-arm64@"
    end
    on_intel do
      url "https://github.com/rondokit/rondo/releases/download/v@VERSION@/rondo-@VERSION@-linux-amd64.tar.gz"
      sha256 "@SUM-linux-amd64@"
    end
  end

  def install
    bin.install "bin/rondo"
    man1.install Dir["share/man/man1/*"]
    man5.install Dir["share/man/man5/*"]
    man7.install Dir["share/man/man7/*"]
    bash_completion.install "share/bash-completion/completions/rondo"
    zsh_completion.install "share/zsh/site-functions/_rondo"
    fish_completion.install "share/fish/vendor_completions.d/rondo.fish"
    doc.install Dir["share/doc/rondo/*"]
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/rondo version")
  end
end
