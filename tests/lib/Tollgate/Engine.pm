package Tollgate::Engine;

# The mock engine behind nginx, and requests that take a known number of tokens.
#
# A prompt is a list of token ids, which module and engine count alike; what the module adds to it
# for the template is PER_REQUEST. So a request with "input" and "max" reserves
#
#	reserved(input => 10, max => 20) == 10 + 4 + 20
#
# and with "tokens" the engine then makes so many.

use strict;
use warnings;

use Exporter qw/import/;
use JSON::PP qw//;
use Test::More qw//;
use Test::Nginx qw/http http_content port/;
use Tollgate qw/json/;
use Tollgate::Client qw/connection/;

our @EXPORT = qw/needs_engine start_engine completion complete hold reserved stats/;

# What is reserved for a request beyond its prompt.
use constant PER_REQUEST => 4;

# Skips the test where there is no engine. Comes before the plan.
sub needs_engine {
	Test::More::plan(skip_all => 'no mock engine: set TOLLGATE_MOCK_ENGINE')
		unless -x ($ENV{TOLLGATE_MOCK_ENGINE} // '');
}

# Runs the engine until the test ends, on the port that stands for $number.
sub start_engine {
	my ($t, $number, @options) = @_;
	my $listen = '127.0.0.1:' . port($number);
	$t->run_daemon(sub {
		open STDOUT, '>', '/dev/null' or die "Can't open /dev/null: $!\n";
		exec $ENV{TOLLGATE_MOCK_ENGINE}, '--listen', $listen, @options
			or die "Can't run the engine: $!\n";
	});
	$t->waitforsocket($listen) or die "The engine does not start\n";
}

# The text of a request for a completion. Options:
#
#	uri     /v1/completions
#	client  whose key it carries: key-CLIENT
#	model   mock
#	input   tokens of its prompt: 1
#	max     its bound on the output; none by default
#	body    further members of its body; undef takes one away
#	stream  1: asks for a stream
#	tokens  what the engine makes: its own default, 16
#	hold    1: the engine doesn't end
#	lines   further header lines
#	close   1: the connection ends with the response
sub completion {
	my (%options) = @_;
	my %body = (
		model => $options{model} // 'mock',
		prompt => [1 .. $options{input} // 1],
		%{$options{body} // {}},
	);
	$body{max_tokens} = $options{max} if defined $options{max};
	$body{stream} = JSON::PP::true if $options{stream} or $options{hold};
	delete @body{grep { !defined $body{$_} } keys %body};
	my $body = json(\%body);
	return join "\r\n", "POST " . ($options{uri} // '/v1/completions') . " HTTP/1.1",
		'Host: localhost', 'Content-Type: application/json', 'Content-Length: ' . length $body,
		(defined $options{client} ? "X-API-Key: key-$options{client}" : ()),
		(defined $options{tokens} ? "X-Mock-Tokens: $options{tokens}" : ()),
		($options{hold} ? 'X-Mock-Hold: 1' : ()),
		($options{close} ? 'Connection: close' : ()),
		@{$options{lines} // []}, '', $body;
}

# The response to such a request.
sub complete {
	my (%options) = @_;
	return http(completion(%options, close => 1), _peer(%options));
}

# A connection (or that of the option "on") with a request that the engine doesn't end, and the head
# of the response. Needs "proxy_buffering off".
sub hold {
	my (%options) = @_;
	my $connection = $options{on} // connection(port => $options{port});
	my $head = $connection->ask(completion(tokens => 1, %options, hold => 1), head => 1);
	return ($connection, $head);
}

# What such a request reserves.
sub reserved {
	my (%options) = @_;
	return ($options{input} // 1) + PER_REQUEST + $options{max};
}

# What the engine at this port counts.
sub stats {
	my ($number) = @_;
	my $response = http("GET /_mock/stats HTTP/1.0\r\nHost: localhost\r\n\r\n",
		PeerAddr => '127.0.0.1:' . port($number));
	return JSON::PP->new->decode(http_content($response));
}

sub _peer {
	my (%options) = @_;
	return defined $options{port} ? (PeerAddr => '127.0.0.1:' . port($options{port})) : ();
}

1;
