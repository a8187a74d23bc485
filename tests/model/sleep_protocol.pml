/* The sleep protocol of runtime/sleep_protocol.hpp, for spin: two senders and one sleeper, on processors with store buffers.
 *
 * Each process has a buffer for its stores; a store is seen by others when it leaves the buffer, in order, at any time. A fence
 * empties one's own buffer; the sleeper's barrier in all threads empties everybody's. What a locked instruction writes is seen at
 * once, and it empties the buffer first. Each sender sends MESSAGES, and the sleeper becomes busy whenever it likes.
 *
 * Shown: nothing is slept over. Whenever all senders are done and the sleeper sleeps for good, it has received everything.
 *
 *     spin -run sleep_protocol.pml                 holds
 *     spin -DNO_BARRIER -run ..., -DNO_SENDERS_FENCE, -DNO_SLEEPERS_FENCE: each must find a lost message (tests/model/run.py)
 */
#define SENDERS 2
#define MESSAGES 2

#define BUSY 0
#define DROWSY 1
#define ASLEEP 2

/* What everybody sees. */
byte posted[SENDERS];     /* the number in the lane's newest parcel */
byte attention = DROWSY;
bool wake_pending = false; /* the driver was woken */

/* What is still in a buffer. A sender stores only to its lane, the sleeper only to attention: one value each is enough, for a
   later store to the same place replaces what others would see. */
byte own_posted[SENDERS];
byte own_attention = DROWSY;

byte received[SENDERS];
byte done = 0;
bool asleep_for_good = false;

inline drain_sender(who) { posted[who] = own_posted[who] }
inline drain_sleeper() { attention = own_attention }

/* A store leaves its buffer at any time: these do nothing else. */
active proctype buffers() {
  do
  :: atomic { posted[0] != own_posted[0] -> drain_sender(0) }
  :: atomic { posted[1] != own_posted[1] -> drain_sender(1) }
  :: atomic { attention != own_attention -> drain_sleeper() }
  :: atomic { done == SENDERS && asleep_for_good && posted[0] == own_posted[0] && posted[1] == own_posted[1] &&
              attention == own_attention -> break }
  od
}

proctype sender(byte me) {
  byte sent = 0;
  byte seen;
  do
  :: sent == MESSAGES -> break
  :: else ->
     sent++;
     atomic { own_posted[me] = sent }             /* S1: into the buffer */
     seen = attention;                            /* S2 */
     if
     :: seen == BUSY -> skip
     :: else ->
#ifndef NO_SENDERS_FENCE
        atomic { drain_sender(me) }               /* S3: fence */
#endif
        seen = attention;
        if
        :: seen == ASLEEP ->                      /* S4: a locked exchange of what everybody sees */
           atomic {
             drain_sender(me);
             if
             :: attention == ASLEEP -> attention = DROWSY; own_attention = DROWSY; wake_pending = true
             :: else -> skip
             fi
           }
        :: else -> skip
        fi
     fi
  od;
  atomic { done++ }
}

#define ALL_RECEIVED (received[0] == MESSAGES && received[1] == MESSAGES)

active proctype sleeper() {
  bool found;
  do
  :: /* a turn: takes what it sees */
     atomic { received[0] = posted[0]; received[1] = posted[1] }
     if
     :: own_attention == DROWSY -> atomic { own_attention = BUSY }  /* it may become busy, or not */
     :: skip
     fi;
     if
     :: skip                                      /* more to do: another turn */
     :: /* nothing to do: to sleep */
        if
        :: own_attention == BUSY ->
           atomic { own_attention = DROWSY }      /* L1 */
#ifndef NO_BARRIER
           atomic { drain_sleeper(); drain_sender(0); drain_sender(1) }
#endif
        :: else -> skip
        fi;
        atomic { own_attention = ASLEEP }         /* L2 */
#ifndef NO_SLEEPERS_FENCE
        atomic { drain_sleeper() }
#endif
        /* L3 */
        found = (posted[0] != received[0] || posted[1] != received[1]);
        if
        :: found -> skip
        :: else ->                                /* L4: until it is woken; for good if nobody is left to */
           if
           :: atomic { wake_pending -> wake_pending = false }
           :: atomic { done == SENDERS && !wake_pending && attention == own_attention &&
                       posted[0] == own_posted[0] && posted[1] == own_posted[1] -> asleep_for_good = true }
           fi
        fi;
        if
        :: asleep_for_good -> break
        :: else -> atomic { own_attention = DROWSY }
        fi
     fi
  od;
  assert(ALL_RECEIVED)
}

init { atomic { run sender(0); run sender(1) } }
