package Tollgate::Metered;

# Requests to the mock engine, and what became of them: in the engine, and in the audit log, which is
# audit.log in the test's directory.
#
# Each request has an id of its own, by which its body is found in the engine and its line in the log:
#
#	my $id = new_id();
#	my $r = ask(post('/v1/chat/completions', { model => 'm' }, "X-Request-ID: $id"));
#	my ($line) = audited($t, $id);

use strict;
use warnings;

use Exporter qw/import/;
use JSON::PP qw//;
use Test::Nginx qw/http_content log_out port/;
use Tollgate qw/json status/;
use Tollgate::Client;

our @EXPORT = qw/new_id post chunked ask ask_for h2 audited engine_body/;

my $number = 0;

sub new_id {
	return 't-' . ++$number;
}

# The text of a POST. The body is a string of bytes, or what json() takes.
sub post {
	my ($uri, $body, @lines) = @_;
	$body = json($body) if ref $body;
	return request("POST $uri", 'Content-Type: application/json',
		'Content-Length: ' . length $body, @lines) . $body;
}

# The same in chunks of $size bytes.
sub chunked {
	my ($uri, $body, $size, @lines) = @_;
	$body = json($body) if ref $body;
	my $chunks = join '', map { sprintf "%x\r\n%s\r\n", length, $_ } unpack "(a$size)*", $body;
	return request("POST $uri", 'Content-Type: application/json',
		'Transfer-Encoding: chunked', @lines) . "${chunks}0\r\n\r\n";
}

# The response to this request, on a connection of its own.
sub ask {
	my ($text, %options) = @_;
	my $connection = connection(%options);
	my $response = $connection->ask($text, %options);
	$connection->close();
	return $response;
}

# Response and audit line of a POST.
sub ask_for {
	my ($t, $uri, $body, @lines) = @_;
	my $id = new_id();
	my $response = ask(post($uri, $body, "X-Request-ID: $id", @lines));
	my ($line) = audited($t, $id);
	return ($response, $line);
}

# The response to a POST over HTTP/2 by curl, to the port that the configuration calls 8082.
sub h2 {
	my ($t, $uri, $body, @lines) = @_;
	$body = json($body) if ref $body;
	$t->write_file('sent', $body);
	log_out($body);
	return curl('--http2-prior-knowledge', '-i', '-H', 'Content-Type: application/json',
		(map { ('-H', $_) } @lines), '--data-binary', '@' . $t->testdir() . '/sent',
		'http://127.0.0.1:' . port(8082) . $uri);
}

# The lines with this id in audit.log, as soon as there is one.
sub audited {
	my ($t, $id) = @_;
	my @lines;
	poll {
		my $text = eval { $t->read_file('audit.log') } // '';
		# What follows the last line feed is still being written.
		@lines = $text =~ /^(.*"request_id":"\Q$id\E".*)\n/mg;
		scalar @lines;
	};
	return map { JSON::PP->new->utf8->decode($_) } @lines;
}

# The body of the request with this id, as it came to an endpoint of the engine at this port; undef
# if none did.
sub engine_body {
	my ($port, $id) = @_;
	my $response = ask(request("/_mock/body/$id"), port => $port);
	return status($response) == 200 ? http_content($response) : undef;
}

1;
