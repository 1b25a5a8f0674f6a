package Tollgate::Echo;

# An engine that answers with what it was asked, as JSON: method, uri, head (lines), body. Paths that a test
# gives pages for are answered with these instead.

use strict;
use warnings;

use Exporter qw/import/;
use IO::Socket::INET;
use JSON::PP qw//;
use Test::Nginx qw/port/;
use Tollgate qw/json/;

our @EXPORT = qw/start_echo/;

# Runs it until the test ends, on the port that stands for $number. A page is a hash: status ("200 OK"),
# lines (of the head), body, and unknown_length: the end of the connection is that of the body.
sub start_echo {
	my ($t, $number, $pages) = @_;
	my $port = port($number);
	$t->run_daemon(sub { _serve($port, $pages // {}) });
	$t->waitforsocket("127.0.0.1:$port") or die "The engine does not start\n";
}

sub _serve {
	my ($port, $pages) = @_;
	my $server = IO::Socket::INET->new(
		Proto => 'tcp', LocalAddr => "127.0.0.1:$port", Listen => 16, ReuseAddr => 1)
		or die "Can't create listening socket: $!\n";
	local $SIG{PIPE} = 'IGNORE';
	while (my $client = $server->accept()) {
		my $line = <$client> // '';
		my $head = '';
		while (<$client>) {
			last if /^\x0d?\x0a?$/;
			$head .= s/\x0d//r;
		}
		my ($length) = $head =~ /^Content-Length: (\d+)/mi;
		my $body = '';
		read $client, $body, $length if $length;
		my ($method, $uri) = split / /, $line;
		$client->autoflush(1);
		print $client _answer($method // '', $uri // '', $head, $body, $pages);
		close $client;
	}
}

sub _answer {
	my ($method, $uri, $head, $body, $pages) = @_;
	my $page = $pages->{$uri =~ s/\?.*//r} // {
		body => json({ method => $method, uri => $uri, head => [split /\n/, $head], body => $body }),
	};
	my $content = $page->{body};
	my @lines = $page->{lines} ? @{$page->{lines}} : ('Content-Type: application/json');
	push @lines, 'Content-Length: ' . length $content unless $page->{unknown_length};
	return join("\x0d\x0a", 'HTTP/1.1 ' . ($page->{status} // '200 OK'), 'Connection: close', @lines, '', '')
		. ($method eq 'HEAD' ? '' : $content);
}

1;
